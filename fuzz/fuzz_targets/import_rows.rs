#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tenantry::fuzzing::import_rows(data));
