from .claim import Claim as Claim
from .finding import Finding as Finding
