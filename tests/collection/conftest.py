"""What the tests share is found beside them, as they are no package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
