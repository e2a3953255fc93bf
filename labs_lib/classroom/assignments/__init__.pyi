from .writing import FORMS as FORMS
from .writing import Written as Written
from .writing import write_assignment as write_assignment
