"""The browser that these tests open pages in."""

from chromium import browser

__all__ = ["browser"]
