//! Request → push → answer: what one worker does.
//!
//! It serves one request at a time, by the settings that hold when it takes it.

use super::known_urls::{KnownUrls, PushTarget};
use super::pending::{Accepted, Pending};
use super::pool::Serve;
use super::service::Service;
use super::settings::InputSettings;
use crate::intake::bridge::{Answer, ReplyTo, Request};
use crate::observe::telemetry::Reason;
use crate::push::route::{self, Endpoint, PushPaths, Route};
use crate::push::sample::Quoted;
use crate::push::{PushHeaders, Pusher};
use crate::status;
use crate::system;
use std::borrow::Cow;
use std::sync::Arc;

/// What a worker uses again for each request.
pub(super) struct Worker {
    service: Arc<Service>,
    pusher: Pusher,
    urls: KnownUrls,
}

/// What a request comes to.
pub(super) enum Served {
    Answer(Answer),
    /// A push that became lines: the queue answers it.
    Accepted(Accepted),
}

impl From<Accepted> for Served {
    fn from(accepted: Accepted) -> Served {
        Served::Accepted(accepted)
    }
}

impl From<Answer> for Served {
    fn from(answer: Answer) -> Served {
        Served::Answer(answer)
    }
}

impl Serve for Worker {
    type Outcome = Served;

    fn serve(&mut self, request: &Request) -> Served {
        let settings = self.service.settings.read();
        if request.method.is_push()
            && let Some(target) = self.urls.find(&settings, &request.target)
        {
            return self.push(request, settings, target);
        }
        let method = request.method.name();
        match route::route(method, request.target.as_bytes(), &settings.endpoints) {
            Ok(Route::Push { input, group }) => {
                let target = PushTarget { input, group: Arc::new(group) };
                self.urls.note(&settings, &request.target, &target);
                self.push(request, settings, target)
            }
            Ok(Route::PushNotFound) => self.push_not_found(request, &settings.endpoints).into(),
            Ok(route) => self.answer(request, route).into(),
            Err(error) => {
                if request.counts_as_push() {
                    self.service.records.telemetry.refused(error.reason());
                }
                self.service.records.status.turned_away(400, &error, system::now_ns());
                Answer::text(400, error).into()
            }
        }
    }

    fn finish(&mut self, outcome: Served, reply_to: ReplyTo) {
        match outcome {
            Served::Answer(answer) => reply_to.answer(answer),
            Served::Accepted(mut accepted) => {
                let lines = std::mem::take(&mut accepted.converted.lines);
                let line_count = accepted.converted.line_count;
                let records = self.service.records.clone();
                let pending = Pending { reply_to, records, accepted };
                self.service.queue.submit(lines, line_count, pending);
            }
        }
    }

    fn recover(&mut self, request: &Request) -> Answer {
        self.service.records.telemetry.worker_panics.increment();
        if request.counts_as_push() {
            self.service.records.telemetry.refused(Reason::Panic);
        }
        self.pusher = Pusher::new(self.service.settings.read().push);
        Answer::defect()
    }
}

impl Worker {
    pub(super) fn new(service: Arc<Service>) -> Worker {
        let pusher = Pusher::new(service.settings.read().push);
        Worker { service, pusher, urls: KnownUrls::default() }
    }

    /// Answers what is no push.
    fn answer(&self, request: &Request, route: Route) -> Answer {
        const ALLOW: Cow<'_, str> = Cow::Borrowed("Allow: DELETE, OPTIONS, POST, PUT\r\n");
        match route {
            Route::Delete => Answer::empty(202),
            Route::Options => Answer { headers: ALLOW, ..Answer::empty(200) },
            Route::MethodNotAllowed => Answer { headers: ALLOW, ..Answer::empty(405) },
            Route::OwnMetrics => self.own_metrics(),
            Route::Page if status::is_admitted(request.accept.as_deref()) => Answer {
                status: 200,
                content_type: status::CONTENT_TYPE,
                headers: Cow::Borrowed(status::HEADERS),
                body: Cow::Borrowed(status::PAGE.as_bytes()),
            },
            Route::Status => Answer {
                status: 200,
                content_type: status::REPORT_CONTENT_TYPE,
                headers: Cow::Borrowed(status::REPORT_HEADERS),
                body: Cow::Owned(self.service.records.status.report(system::now_ns()).into_bytes()),
            },
            Route::Push { .. } | Route::PushNotFound | Route::Page | Route::NotFound => {
                Answer::text(404, "not found")
            }
        }
    }

    fn own_metrics(&self) -> Answer {
        let telemetry = &self.service.records.telemetry;
        telemetry.ready.set(u64::from(self.service.queue.ready().is_ok()));
        Answer {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            headers: Cow::Borrowed(""),
            body: Cow::Owned(telemetry.render().into_bytes()),
        }
    }

    /// A push that no input takes is a mistake that somebody looks for; any other path is not.
    fn push_not_found(&self, request: &Request, endpoints: &[Endpoint]) -> Answer {
        let (url, paths) = (Quoted(request.target.as_bytes()), PushPaths(endpoints));
        let error = format_args!("no input takes a push to {url}, expected {paths}");
        self.service.records.status.turned_away(404, &error, system::now_ns());
        Answer::text(404, error)
    }

    fn push(
        &mut self,
        request: &Request,
        settings: Arc<InputSettings>,
        target: PushTarget,
    ) -> Served {
        let PushTarget { input, group } = target;
        let Some(options) = settings.inputs.get(input) else {
            return Answer::text(404, "not found").into();
        };
        self.pusher.set_options(settings.push);
        let received_ns = request.received_ns;
        let head = PushHeaders {
            group: &group,
            content_type: request.content_type.as_deref(),
            content_encoding: request.content_encoding.as_deref(),
            received_ns,
        };
        let Service { records, queue, log, .. } = &*self.service;
        let body = &request.body.bytes;
        match self.pusher.convert(options, head, body, queue.spare()) {
            // Nothing of it counts as pushed, or as refused.
            Ok(converted) if !request.counts_as_push() => {
                let remarks = self.pusher.remarks(options, head, body, &converted);
                Answer::lines(converted.lines, &remarks).into()
            }
            Ok(converted) => {
                let route_prefix = &options.endpoint.prefix;
                let client = request.client.as_deref();
                let seen = status::Push { route_prefix, group: &group, received_ns, client };
                records.status.converted(&seen, &converted.lines);
                let body_bytes = body.len();
                let client = request.client.clone();
                Accepted { converted, body_bytes, settings, input, group, received_ns, client }
                    .into()
            }
            Err(error) if !request.counts_as_push() => Answer::text(error.status(), error).into(),
            Err(error) => {
                records.telemetry.refused(error.reason());
                log.debug("push refused", &[("url", &request.target), ("error", &error)]);
                let route_prefix = &options.endpoint.prefix;
                let client = request.client.as_deref();
                let seen = status::Push { route_prefix, group: &group, received_ns, client };
                records.status.refused(&seen, error.status(), &error);
                Answer::text(error.status(), error).into()
            }
        }
    }
}
