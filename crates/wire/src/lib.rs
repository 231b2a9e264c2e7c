//! Messages of the device API and the operator API. Shapes only: what may be done with them is decided elsewhere.
//!
//! JSON; unknown fields are ignored in answers (a newer server may say more) and refused in requests.

pub mod authenticity;
pub mod device;
pub mod operator;
pub mod problem;
