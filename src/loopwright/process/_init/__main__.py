"""What the bare interpreter runs; see `__init__.py` for why this package goes by another name there."""

import os
import sys

package = type(sys)("loopwright_init")
package.__path__ = [os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH100, PTH120 - no pathlib here
sys.modules["loopwright_init"] = package
# Not `import`: type checkers know it by its other name. os._exit, because a normal exit would spend a millisecond on
# tearing down an interpreter that has nothing to flush.
os._exit(__import__("loopwright_init._driver", fromlist=["main"]).main(sys.argv[1:]))
