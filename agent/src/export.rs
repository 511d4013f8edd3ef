//! Where spans go. Nothing here ever blocks the path before it.
