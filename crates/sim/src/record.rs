//! Reading back what a log keeps verbatim.

use tidegate_trust::signed::{Body, Unverified};

/// The body of a record in an entry; none where it is no such record. The log is a server's own word: nothing is verified here.
pub(crate) fn body_of<T: Body>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice::<Unverified<T>>(bytes).ok()?.danger_unchecked_body().ok()
}
