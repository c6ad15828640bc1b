//! Writes archives byte by byte, in forms that libraries do not let one choose.

use std::{io::Write as _, ops::Range};

use flate2::{
    Compression, Crc,
    write::{DeflateEncoder, GzEncoder},
};

/// How a member is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    pub(super) is_deflated: bool,
    pub(super) descriptor: Option<Descriptor>,
    pub(super) is_zip64: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) has_signature: bool,
    pub(super) is_wide: bool,
}

pub(super) fn forms() -> Vec<Form> {
    let mut forms = Vec::new();
    for is_deflated in [false, true] {
        for is_zip64 in [false, true] {
            forms.push(Form { is_deflated, descriptor: None, is_zip64 });
            for (has_signature, is_wide) in [(false, false), (false, true), (true, false), (true, true)] {
                let descriptor = Some(Descriptor { has_signature, is_wide });
                forms.push(Form { is_deflated, descriptor, is_zip64 });
            }
        }
    }
    forms
}

#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    members: u16,
}

impl Writer {
    /// Adds a member and answers where its data lies.
    pub(super) fn add(&mut self, form: Form, name: &str, content: &[u8]) -> Range<usize> {
        let mut crc = Crc::new();
        crc.update(content);
        let data = if form.is_deflated { deflate(content) } else { content.to_vec() };
        let (crc, at) = (crc.sum().to_le_bytes(), self.bytes.len() as u32);
        let sizes = [data.len() as u64, content.len() as u64];
        let method = [if form.is_deflated { 8 } else { 0 }, 0];
        let flags = [if form.descriptor.is_some() { 8 } else { 0 }, 0];
        let is_known = form.descriptor.is_none();

        self.bytes.extend_from_slice(&[0x50, 0x4b, 3, 4, 45, 0]);
        self.bytes.extend_from_slice(&[flags, method, [0; 2], [0; 2]].concat());
        self.bytes.extend_from_slice(if is_known { &crc } else { &[0; 4] });
        for size in sizes {
            let size = if is_known { size as u32 } else { 0 };
            self.bytes.extend_from_slice(&if form.is_zip64 { u32::MAX } else { size }.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(&if form.is_zip64 { 28u16 } else { 0 }.to_le_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        if form.is_zip64 {
            // A field of another kind first.
            self.bytes.extend_from_slice(&[0x55, 0x54, 4, 0, 1, 2, 3, 4]);
            self.bytes.extend_from_slice(&[1, 0, 16, 0]);
            for size in [sizes[1], sizes[0]] {
                self.bytes.extend_from_slice(&if is_known { size } else { 0 }.to_le_bytes());
            }
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&data);
        let range = start..self.bytes.len();
        if let Some(descriptor) = form.descriptor {
            if descriptor.has_signature {
                self.bytes.extend_from_slice(&[0x50, 0x4b, 7, 8]);
            }
            self.bytes.extend_from_slice(&crc);
            for size in sizes {
                let size = size.to_le_bytes();
                self.bytes.extend_from_slice(if descriptor.is_wide { &size } else { &size[..4] });
            }
        }

        self.members += 1;
        self.directory.extend_from_slice(&[0x50, 0x4b, 1, 2, 45, 0, 45, 0]);
        self.directory.extend_from_slice(&[flags, method, [0; 2], [0; 2]].concat());
        self.directory.extend_from_slice(&crc);
        for size in sizes {
            self.directory.extend_from_slice(&(size as u32).to_le_bytes());
        }
        self.directory.extend_from_slice(&(name.len() as u16).to_le_bytes());
        self.directory.extend_from_slice(&[0; 12]);
        self.directory.extend_from_slice(&at.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        range
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&self.directory);
        self.bytes.extend_from_slice(&[0x50, 0x4b, 5, 6, 0, 0, 0, 0]);
        for _ in 0..2 {
            self.bytes.extend_from_slice(&self.members.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(self.directory.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&at.to_le_bytes());
        self.bytes.extend_from_slice(&[7, 0]);
        self.bytes.extend_from_slice(b"comment");
        self.bytes
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}
