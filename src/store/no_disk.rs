//! In place of the disk store where there is none: types without a value, so that nobody else asks which build this is.

use crate::{
    Config, Error, Result,
    pipeline::{Header, Outage, RecordId},
    store::{MemoryStore, Recalled, Space},
};

#[derive(Clone, Debug)]
pub(crate) enum DiskOptions {}

pub(crate) enum Journal {}

pub(crate) enum Archive {}

pub(crate) enum Written {}

pub(crate) enum Left {}

pub(crate) enum LetterFile {}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {}

pub(crate) use std::convert::Infallible as SyncFile;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Backlog {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

pub(crate) fn open_disk(_: &Config) -> Result<Option<(Journal, Archive)>> {
    Ok(None)
}

pub(crate) fn letter_file(_: &Config) -> Option<LetterFile> {
    None
}

pub(crate) fn add_unsynced(_: &mut Vec<SyncFile>, _: &[Written]) {}

pub(crate) fn sync(_: &[SyncFile]) -> Result<()> {
    Ok(())
}

impl DiskOptions {
    pub(crate) fn check(&self) -> Result<()> {
        match *self {}
    }

    pub(crate) fn memory_bound(&self) -> usize {
        match *self {}
    }

    pub(crate) fn sync_ms(&self) -> Option<u64> {
        match *self {}
    }
}

impl LetterFile {
    pub(crate) fn read(&self) -> Result<String> {
        match *self {}
    }

    pub(crate) fn append(&mut self, _: &[String], _: &dyn Fn(&str) -> Vec<String>) -> Result<()> {
        match *self {}
    }

    pub(crate) fn append_removal(&mut self, _: String, _: &dyn Fn(&str) -> Vec<String>) -> Result<()> {
        match *self {}
    }

    pub(crate) fn tidy(&self, _: &dyn Fn(&str) -> Vec<String>) -> Result<()> {
        match *self {}
    }
}

impl Journal {
    pub(crate) fn append(&mut self, _: &Header, _: &[u8]) -> Result<RecordId> {
        match *self {}
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Written> {
        match *self {}
    }

    pub(crate) fn end(&self) -> Option<Place> {
        match *self {}
    }

    pub(crate) fn close(&mut self) {
        match *self {}
    }

    pub(crate) fn make_way(&mut self, _: u32) {
        match *self {}
    }
}

impl Archive {
    pub(crate) fn learn(&mut self, _: &[Written]) {
        match *self {}
    }

    pub(crate) fn skip_to(&mut self, _: Place) {
        match *self {}
    }

    pub(crate) fn backlog(&self) -> Backlog {
        match *self {}
    }

    pub(crate) fn last_id(&self) -> RecordId {
        match *self {}
    }

    pub(crate) fn recall(&mut self, _: &Space<'_>, _: &mut MemoryStore) -> Recalled {
        match *self {}
    }

    pub(crate) fn must_defer(&self, _: u64) -> bool {
        match *self {}
    }

    pub(crate) fn defer(&mut self, _: RecordId, _: &Header, _: u64) {
        match *self {}
    }

    pub(crate) fn sweep_at(&self) -> u64 {
        match *self {}
    }

    #[cfg(test)]
    pub(crate) fn late_bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn late(&self, _: RecordId) -> Option<&[u8]> {
        match *self {}
    }

    pub(crate) fn settle(&mut self, _: &[(RecordId, u32)]) {
        match *self {}
    }

    pub(crate) fn attempted(&mut self, _: &[(RecordId, u32)], _: u32) {
        match *self {}
    }

    pub(crate) fn not_attempted(&mut self, _: &[(RecordId, u32)]) {
        match *self {}
    }

    pub(crate) fn take_problems(&mut self) -> Vec<Error> {
        match *self {}
    }

    pub(crate) fn outage(&self) -> Outage {
        match *self {}
    }

    pub(crate) fn note_outage(&mut self, _: Outage) {
        match *self {}
    }

    pub(crate) fn forget(
        &mut self,
        _: &dyn Fn(&Header, &[u8]) -> bool,
        _: &mut MemoryStore,
        _: &mut Vec<RecordId>,
    ) -> Result<()> {
        match *self {}
    }

    pub(crate) fn first_deferred(&self) -> RecordId {
        match *self {}
    }

    pub(crate) fn evict(&mut self, _: u64, _: &mut MemoryStore) -> (Vec<RecordId>, u64) {
        match *self {}
    }

    pub(crate) fn find_left(&mut self) -> (Vec<Left>, u32) {
        match *self {}
    }

    pub(crate) fn adopt_left(&mut self, _: Vec<Left>) {
        match *self {}
    }

    pub(crate) fn take_lost(&mut self) -> u64 {
        match *self {}
    }
}
