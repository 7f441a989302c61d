"""The only modules that open files: strict reading, atomic writing, locks, manifests, and weights behind a sandbox."""
