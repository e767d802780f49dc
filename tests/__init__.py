"""The folders of the product, mirrored; beside them `e2e`, `interop`, `fuzz` and `tidy`. `vectors` has golden data."""
