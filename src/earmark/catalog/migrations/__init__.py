"""The steps that bring a catalog forward, one file each in `versions`; run by `Catalog.upgrade`."""
