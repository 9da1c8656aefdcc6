//! Tells the linker, for the `raw` program only, that nothing but our own objects belong in it, and how they lie in memory.
//!
//! The kernel maps each segment of a program anew at every start, and what it maps it takes down again when the shim becomes its
//! tool. So there are two: one of the file with all that does not change, and one of zeros. Constants that name other ones and
//! the table of addresses do not change either: the program is linked to a fixed place, and has no loader. Nothing unwinds,
//! so it has no tables for that.

use std::path::Path;

/// The program as a whole, for GNU's linker and LLVM's.
const LAYOUT: &str = r#"
ENTRY(_start)
PHDRS {
  fixed PT_LOAD FILEHDR PHDRS FLAGS(5);
  zeros PT_LOAD FLAGS(6);
  note PT_NOTE FLAGS(4);
  stack PT_GNU_STACK FLAGS(6);
}
SECTIONS {
  . = 0x200000 + SIZEOF_HEADERS;
  .note.clawrden : { KEEP(*(.note.clawrden)) } :fixed :note
  .text : { *(.rodata .rodata.* .data.rel.ro .data.rel.ro.* .got .got.plt .text .text.*) } :fixed
  . = ALIGN(0x10000);
  .bss (NOLOAD) : { *(.bss .bss.* COMMON) } :zeros
  .data : { *(.data .data.*) } :zeros
  ASSERT(SIZEOF(.data) == 0, "a variable of the shim does not begin as zeros")
  /DISCARD/ : { *(.eh_frame .eh_frame_hdr .gcc_except_table* .comment .note.GNU-stack) }
}
"#;

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let (Some(_), Some(folder)) =
        (std::env::var_os("CARGO_FEATURE_RAW"), std::env::var_os("OUT_DIR"))
    else {
        return Ok(());
    };
    let script = Path::new(&folder).join("raw.ld");
    std::fs::write(&script, LAYOUT)?;
    let script = format!("-Wl,-T,{}", script.display());
    for arg in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,--no-eh-frame-hdr",
        "-Wl,-z,max-page-size=16",
        &script,
    ] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    Ok(())
}
