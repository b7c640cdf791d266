"""Names across scripts: one search form for all usual spellings of a name, and readable romanisation. Pure."""

from crm_api.kit.scripts.folding import beginnings as beginnings
from crm_api.kit.scripts.folding import canonical as canonical
from crm_api.kit.scripts.folding import forms as forms
from crm_api.kit.scripts.folding import mended as mended
from crm_api.kit.scripts.folding import name_words as name_words
from crm_api.kit.scripts.folding import readings as readings
from crm_api.kit.scripts.roman import latin_name as latin_name
from crm_api.kit.scripts.skeleton import bones as bones
from crm_api.kit.scripts.skeleton import bones_readings as bones_readings
from crm_api.kit.scripts.skeleton import writes_no_vowels as writes_no_vowels
