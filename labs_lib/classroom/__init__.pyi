from .records import Graded as Graded
from .records import GradedAnswer as GradedAnswer
from .records import GradedStudent as GradedStudent
from .records import HandedIn as HandedIn
from .records import Release as Release
from .records import ReleasedItem as ReleasedItem
from .records import read_graded as read_graded
