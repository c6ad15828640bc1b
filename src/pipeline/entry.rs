//! What the pipeline keeps of a record.

use super::{Header, RecordId};

/// A header on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: RecordId,
    /// The device, without one the user: what keeps its order.
    pub(super) lane: u64,
    /// 0: none, or the lane's own id.
    pub(super) user: u64,
    pub(super) bytes: u32,
    /// When it was tracked, and when the first attempt was made that the server may have taken (0: there was none), in seconds of the
    /// pipeline's own clock.
    pub(super) tracked_secs: u32,
    pub(super) first_attempt: u32,
}

impl Entry {
    pub(super) fn new(id: RecordId, header: Header) -> Self {
        let (lane, user) = (header.lane(), header.user.unwrap_or_default());
        let user = if user == lane { 0 } else { user };
        Self { id, lane, user, bytes: header.bytes, tracked_secs: header.tracked_secs, first_attempt: header.first_attempt }
    }

    /// Its header again, with its lane for its device.
    pub(super) fn header(&self) -> Header {
        let &Self { lane, user, bytes, tracked_secs, first_attempt, .. } = self;
        Header { user: Some(user), device: Some(lane), bytes, tracked_secs, first_attempt }
    }

    pub(super) fn is_of(&self, id: u64) -> bool {
        self.lane == id || self.user == id
    }
}
