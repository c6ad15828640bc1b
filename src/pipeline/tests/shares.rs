//! Servers that throttle by rate: what is refused whole when it is too much must go in parts that are not.

use super::{
    world::{Record, hash},
    *,
};

const WINDOW_MS: u64 = limits::THROTTLE_WINDOW_SECS * 1000;

/// A server that takes at most so many events of each id in a window, counts by the second, and refuses a request whole.
pub(super) struct Server {
    most: usize,
    /// What it calls its threshold, if anything.
    eps: Option<usize>,
    taken: HashMap<String, Vec<(u64, usize)>>,
}

impl Server {
    pub(super) fn new(most: usize, eps: Option<usize>) -> Self {
        Self { most, eps, taken: HashMap::new() }
    }

    /// Its reply to a request that holds so many events of each user and of each device.
    pub(super) fn reply(&mut self, users: &BTreeMap<String, usize>, devices: &BTreeMap<String, usize>, now_ms: u64) -> Reply {
        let seconds = now_ms / 1000;
        let is_over = |id: &String, more: usize| {
            let recent = self.taken.get(id).into_iter().flatten().filter(|(at, _)| at + WINDOW_MS / 1000 >= seconds);
            more + recent.map(|(_, count)| count).sum::<usize>() > self.most
        };
        let over = |ids: &BTreeMap<String, usize>| {
            let over = ids.iter().filter(|(id, more)| is_over(id, **more)).map(|(id, _)| format!("{id:?}:31"));
            over.collect::<Vec<_>>().join(",")
        };
        let (slow_users, slow_devices) = (over(users), over(devices));
        if slow_users.len() + slow_devices.len() > 0 {
            let eps = self.eps.map_or(String::new(), |eps| format!(r#""eps_threshold":{eps},"#));
            let body =
                format!(r#"{{"code":429,{eps}"throttled_users":{{{slow_users}}},"throttled_devices":{{{slow_devices}}}}}"#);
            return reply(429, &body);
        }
        for (id, more) in users.iter().chain(devices) {
            self.taken.entry(id.clone()).or_default().push((seconds, *more));
        }
        reply(200, OK)
    }
}

impl World {
    /// The reply of a server that throttles by rate, noted as far as it asks ids to wait.
    pub(super) fn by_rate(&mut self, server: &mut Server, ids: &[RecordId]) -> Result<Reply, Failure> {
        let count = |kind: &str, is_of: fn(&Record, u64) -> bool| {
            let named = (0..4).map(|number| (format!("{kind}{number}"), hash(kind, number)));
            let counted = named.map(|(name, id)| (name, ids.iter().filter(|record| is_of(&self.records[record], id)).count()));
            counted.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>()
        };
        let (users, devices) = (count("u", |record, id| record.user == id), count("d", |record, id| record.lane == id));
        let reply = server.reply(&users, &devices, self.now.mono_ms);
        if reply.status == 200 {
            self.confirmed.extend(ids);
        }
        let until = self.now.mono_ms + 30_000;
        for number in (0..4).filter(|_| reply.status == 429) {
            for (kind, waits) in [("u", &mut self.users), ("d", &mut self.lanes)] {
                if reply.body.contains(&format!("\"{kind}{number}\":")) {
                    waits.entry(hash(kind, number)).and_modify(|it| *it = until.max(*it)).or_insert(until);
                }
            }
        }
        Ok(reply)
    }
}

/// Sends events of these users and devices to a server, each as soon as the pipeline lets it. Answers, for each request, the seconds
/// since the first, its size and its status.
fn deliver(events: &[(&str, &str)], mut server: Server) -> Vec<(u64, usize, u16)> {
    let bounds = Bounds { batch: 1_000_000, envelope: 100, queue: 64_000_000 };
    let config = PipelineConfig { batch_events: 2000, bounds, ..config() };
    let mut pipeline = Pipeline::new(config, 7);
    let mut now = Now { mono_ms: 1000, unix_ms: 1_760_000_000_000 };
    let mut ids = Vec::new();
    for (user, device) in events {
        let header =
            Header { user: Some(id_hash(user)), device: Some(id_hash(device)), bytes: 100, tracked_secs: 0, first_attempt: 0 };
        ids.push(take(&mut pipeline, header));
        pipeline.stored(ids[ids.len() - 1], true, now);
    }
    flush(&mut pipeline, now);
    let (mut loads, mut requests, mut delivered) = (HashMap::new(), Vec::new(), Vec::new());
    for _ in 0..10_000 {
        match pipeline.next(now) {
            Some(Action::Load { batch, ids, .. }) => {
                loads.insert(batch, ids);
                pipeline.handle(Input::Loaded { batch }, now);
            }
            Some(Action::Send { batch }) => {
                let sent = &loads[&batch];
                let (mut users, mut devices) = (BTreeMap::new(), BTreeMap::new());
                for id in sent {
                    let (user, device) = events[*id as usize - 1];
                    *users.entry(user.to_owned()).or_default() += 1;
                    *devices.entry(device.to_owned()).or_default() += 1;
                }
                let reply = server.reply(&users, &devices, now.unix_ms);
                requests.push((now.mono_ms / 1000 - 1, sent.len(), reply.status));
                pipeline.handle(Input::Reply { batch, reply: Ok(reply) }, now);
            }
            Some(Action::Settle { ids, outcome }) => {
                assert_eq!(outcome, Outcome::Delivered);
                delivered.extend(ids);
            }
            Some(Action::Paused { reason }) => panic!("{reason}"),
            Some(Action::NotAttempted { .. }) => panic!("nobody notes attempts"),
            None if pipeline.counts().pending == 0 => {
                let of =
                    |lane: &str| delivered.iter().copied().filter(|id| events[*id as usize - 1].1 == lane).collect::<Vec<_>>();
                assert!(events.iter().take(10).all(|(_, device)| of(device).is_sorted()), "out of order");
                return requests;
            }
            None => {
                let at = pipeline.wake_at(now);
                assert_ne!(at, u64::MAX, "something is pending and nothing is due");
                now.unix_ms += at - now.mono_ms;
                now.mono_ms = at;
            }
        }
    }
    panic!("no end: {:?}", &requests[requests.len().saturating_sub(20)..]);
}

#[test]
fn a_throttled_devices_events_go_in_shares_of_the_servers_window() {
    let events = [("user", "device"); 3000];
    let requests = deliver(&events, Server::new(900, Some(30)));
    assert_eq!(requests, [(0, 2000, 429), (31, 900, 200), (62, 900, 200), (93, 900, 200), (124, 300, 200)]);
}

#[test]
fn what_fits_into_the_window_is_not_divided() {
    // A new id may send less at first: here, nothing.
    let mut server = Server::new(900, Some(30));
    server.taken.insert("device".to_owned(), vec![(1_760_000_000, 900)]);
    assert_eq!(deliver(&[("user", "device"); 500], server), [(0, 500, 429), (31, 500, 200)]);
    assert_eq!(deliver(&[("user", "device"); 900], Server::new(900, Some(30))), [(0, 900, 200)]);
}

#[test]
fn a_share_of_many_requests_is_sent_without_waits_in_between() {
    let events = vec![("user", "device"); 70_000];
    let requests = deliver(&events, Server::new(30_000, Some(1000)));
    let at =
        |secs| requests.iter().filter(|(at, _, status)| *at == secs && *status == 200).map(|(_, count, _)| count).sum::<usize>();
    assert_eq!((at(0), at(31), at(62)), (30_000, 30_000, 10_000), "{requests:?}");
}

#[test]
fn a_share_is_halved_until_the_server_takes_it_and_grows_again() {
    let requests = deliver(&[("user", "device"); 4000], Server::new(300, None));
    assert_eq!(requests[..5], [(0, 2000, 429), (31, 900, 429), (62, 450, 429), (93, 225, 200), (124, 450, 429)]);
    // Half of the windows are lost to finding out.
    assert!(requests.last().is_some_and(|(at, ..)| *at < (4000 / 225 + 1) * 62 + 93), "{requests:?}");
}

#[test]
fn a_throttled_users_share_holds_for_all_his_devices_together() {
    let devices: Vec<_> = (0..1500).map(|index| format!("device-{index}")).collect();
    let events: Vec<_> = devices.iter().map(|device| ("user", device.as_str())).collect();
    let requests = deliver(&events, Server::new(10, Some(30)));
    assert!(requests.iter().any(|(_, count, status)| (*count, *status) == (7, 200)), "{requests:?}");
    let requests = deliver(&events, Server::new(900, Some(30)));
    assert_eq!(requests, [(0, 1500, 429), (31, 900, 200), (62, 600, 200)]);
}

#[test]
fn others_do_not_wait_for_a_throttled_id() {
    let mut events = vec![("user", "device"); 1500];
    events.extend([("other", "another"); 400]);
    let requests = deliver(&events, Server::new(900, Some(30)));
    assert_eq!(requests, [(0, 1900, 429), (0, 400, 200), (31, 900, 200), (62, 600, 200)]);
}
