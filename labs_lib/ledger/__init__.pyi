from .card import ClaimCard as ClaimCard
from .card import claim as claim
from .checking import evidence as evidence
from .finding import Finding as Finding
from .reading import claims as claims
from .schema import Claim as Claim
