from .figures import ClassReport as ClassReport
from .figures import class_report as class_report
from .page import report_page as report_page
