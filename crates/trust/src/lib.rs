//! Bytes and time in, a verdict out: signed records and TUF metadata. Holds no private key.
//!
//! [`signed`] is the form of every record, [`records`] are their bodies, [`keys`] says who may sign what and when, [`tuf`] is the
//! repository of releases on both sides. `docs/protocol.md` says the same in prose; golden files keep the two together.
//!
//! Left out until their own time: log proofs, auditors' and witnesses' countersignatures ("P4 not in force").

pub mod canonical;
pub mod keys;
pub mod records;
pub mod signed;
pub mod tuf;
