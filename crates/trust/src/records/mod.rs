//! The bodies of all signed records. `docs/protocol.md` explains each; golden files keep both true.

mod enrolment;
mod fleet_trust;
mod rollout;
mod testimony;

pub use enrolment::{Enrolment, EnrolmentPair, EnrolmentToken};
pub use fleet_trust::{EnvelopeRecord, KeyList, KeyListError, PolicyRecord};
pub use rollout::{
    Addendum, Approval, FleetProven, Go, Halt, Order, Permit, PermitKind, Resumption, RosterCount, RosterRoot,
};
pub use testimony::{GoRequest, Report};

use std::collections::BTreeMap;

/// Room for later additions that older readers may ignore.
pub type Ext = BTreeMap<String, serde_json::Value>;

macro_rules! body {
    ($type:ty, $context:literal) => {
        impl $crate::signed::Body for $type {
            const CONTEXT: &'static str = $context;

            fn fleet(&self) -> $crate::signed::Fleet {
                self.fleet
            }
        }
    };
}
use body;
