#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| clawrden_fuzz::slack(data));
