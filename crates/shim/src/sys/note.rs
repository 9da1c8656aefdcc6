//! The ELF note that says what this program is.

use clawrden_protocol::note::{NAME, TYPE};

#[repr(C, align(4))]
struct Note {
    name_len: u32,
    desc_len: u32,
    kind: u32,
    name: [u8; 12],
}

const fn padded() -> [u8; 12] {
    let mut name = [0; 12];
    let mut i = 0;
    while i < NAME.len() {
        name[i] = NAME[i];
        i += 1;
    }
    name
}

#[used]
#[unsafe(link_section = ".note.clawrden")]
static NOTE: Note = Note { name_len: 9, desc_len: 0, kind: TYPE, name: padded() };
