"""Driver of the accelerator in Python, over any bus."""

import lazy_loader

# Submodules are imported on first use of a name, so that importing the package stays light.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
