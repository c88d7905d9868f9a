"""How the review was done and what was checked, as PRISMA-IPD asks."""
