//! A user's browser: plain HTTP to loopback, cookies, and the emulator's page of consent.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use url::{Url, form_urlencoded::Serializer};

use crate::programs::assert_shows_no_secret;

/// How long an answer may take; a passing test never comes near it.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The whole of a cookie that is set.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.headers.iter().filter(|(header, _)| header == "set-cookie").map(|(_, cookie)| cookie.as_str());
        set.into_iter().find(|cookie| cookie.split_once('=').is_some_and(|(known, _)| known == name))
    }

    /// Where it leads.
    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_else(|| panic!("leads nowhere: {self:?}"))
    }
}

pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let url = Url::parse(url).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    // No port of anything but this machine.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap_or_else(|error| panic!("{url}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let target = [url.path(), url.query().map(|query| format!("?{query}")).as_deref().unwrap_or_default()].concat();
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n");
    head.push_str(&format!("content-length: {}\r\n", body.len()));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{url}: {error}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{url}: no answer: {answer}"));
    let (status, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let headers = lines.lines().filter_map(|line| line.split_once(": "));
    Reply {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}

/// A browser with the cookies of one site. It follows no redirect by itself.
#[derive(Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn get(&mut self, url: &str) -> Reply {
        self.ask("GET", url, &[])
    }

    /// Sends a form of that origin's page.
    pub(crate) fn post(&mut self, url: &str, origin: &str) -> Reply {
        self.ask("POST", url, &[("origin", origin)])
    }

    pub(crate) fn ask(&mut self, method: &str, url: &str, headers: &[(&str, &str)]) -> Reply {
        let jar: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let jar = jar.join("; ");
        let cookie = (!jar.is_empty()).then_some(("cookie", jar.as_str()));
        let headers: Vec<_> = headers.iter().copied().chain(cookie).collect();
        let reply = request(method, url, &headers, "");
        // Neither a page, nor a cookie, nor an address that it leads to.
        assert_shows_no_secret(&format!("{reply:?}"));
        for (_, cookie) in reply.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, rest) = cookie.split_once('=').expect("a name");
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned());
            }
        }
        reply
    }
}

/// What a user says on the emulator's page: allows all that is asked for, or nothing. Where that leads.
pub(crate) fn consent(url: &str, allows: bool) -> String {
    let page = request("GET", url, &[], "");
    assert_eq!(page.status, 200, "{page:?}");
    answer(url, &page, "request", allows).location().to_owned()
}

/// What a user says on the page that a device's address leads to.
pub(crate) fn activate(url: &str, allows: bool) {
    let page = request("GET", url, &[], "");
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(answer(url, &page, "user_code", allows).status, 200);
}

fn answer(url: &str, page: &Reply, named: &str, allows: bool) -> Reply {
    let mut form = Serializer::new(String::new());
    for name in [named, "token"] {
        form.append_pair(name, attribute(&page.body, &format!("name=\"{name}\"")).first().expect("a hidden field"));
    }
    for scope in attribute(&page.body, "name=scope") {
        form.append_pair("scope", scope);
    }
    form.append_pair("decision", if allows { "allow" } else { "deny" });
    let action = Url::parse(url).unwrap();
    let action = action.join(action.path()).unwrap();
    let origin = action.origin().ascii_serialization();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
    request("POST", action.as_str(), &headers, &form.finish())
}

/// The values of the fields of that kind.
fn attribute<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let fields = page.split("<input").skip(1).filter(|field| field.contains(kind));
    fields.filter_map(|field| field.split_once("value=\"")?.1.split('"').next()).collect()
}
