//! What a program was built for, as its first bytes say.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Whether it is an ELF file for another machine than this process was built for.
pub(crate) fn is_for_another_machine(program: &Path) -> bool {
    let own = std::env::current_exe().ok().and_then(|own| machine_of(&own));
    let other = machine_of(program);
    own.is_some() && other.is_some() && own != other
}

/// Class, byte order and machine of an ELF file (fields `EI_CLASS`, `EI_DATA`, `e_machine` of its header).
fn machine_of(program: &Path) -> Option<[u8; 4]> {
    let mut head = [0; 20];
    File::open(program).and_then(|mut file| file.read_exact(&mut head)).ok()?;
    let [0x7f, b'E', b'L', b'F', class, order, .., low, high] = head else { return None };
    Some([class, order, low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_another_machine_is_told_from_ones_own_and_from_scripts() {
        let dir = tempfile::tempdir().unwrap();
        let written = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let own = std::env::current_exe().unwrap();
        let mut head = [0; 20];
        File::open(&own).unwrap().read_exact(&mut head).unwrap();
        assert!(!is_for_another_machine(&own));
        assert!(!is_for_another_machine(&written("script", b"#!/bin/sh\nexec sleep 600\n")));
        assert!(!is_for_another_machine(&written("short", b"\x7fELF")));
        assert!(!is_for_another_machine(&dir.path().join("missing")));
        if head.starts_with(b"\x7fELF") {
            head[18] ^= 0xff;
            assert!(is_for_another_machine(&written("other", &head)));
        }
    }
}
