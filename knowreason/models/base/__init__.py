"""What all knowledge models share: protocol, registry, rows, calibration, folds, storage."""
