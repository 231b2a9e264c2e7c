//! The conduct loop as a machine without I/O, and the store's contract.
