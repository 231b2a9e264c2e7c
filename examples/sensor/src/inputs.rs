//! The inputs of synthetic events: always twenty, made from the event's number, so that every run sees the same.

/// How many inputs the sensor supplies to a template.
pub(crate) const INPUTS: usize = 20;

/// The inputs of one event.
pub(crate) fn of_event(number: u64) -> [String; INPUTS] {
    let kinds = ["pipe", "file", "process", "socket"];
    std::array::from_fn(|index| {
        let turn = number.wrapping_add(u64::try_from(index).unwrap_or_default());
        let kind = usize::try_from(turn % 4).ok().and_then(|place| kinds.get(place));
        format!("{}-{}", kind.copied().unwrap_or("other"), turn % 97)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_has_the_same_inputs() {
        assert_eq!(of_event(7), of_event(7));
        assert_ne!(of_event(7), of_event(8));
        assert_eq!(of_event(0)[0], "pipe-0");
    }
}
