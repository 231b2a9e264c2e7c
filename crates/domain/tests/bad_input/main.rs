//! Bad input: numbers that are none, counts beyond all fleets, fields that make no sense. Refused with the field, or bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod evidence;
mod fields;
