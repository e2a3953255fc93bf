from .fragment import page_html as page_html
from .instrument import INSTRUMENT as INSTRUMENT
from .instrument import PageInstrument as PageInstrument
from .modules import module_names as module_names
from .modules import module_text as module_text
from .modules import style_text as style_text
