//! Bytes and time in, a verdict out: signed records and TUF metadata. Holds no private key.

pub mod tuf;
