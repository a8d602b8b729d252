/* Loads that wrk has not: arrivals that do not wait for answers, streams held open, clients that leave.
 *
 * usage: load NAME=VALUE...
 *   ports=P[,Q]          targets on 127.0.0.1; a request goes to one of them
 *   rates=R[,S]          arrivals a second at each target, Poisson; without it `connections` run in a closed loop
 *   connections=N        of the closed loop, all to the first target
 *   requests=N           end after so many (closed loop)
 *   seconds=X warm=Y     end after Y + X seconds, of which the first Y are not measured
 *   stream=F             share of requests that ask for a stream (default 1)
 *   gone_before=F        share of requests whose client leaves before the answer: within its own body, or after it
 *   gone_within=F        share of the streams whose client leaves within the answer
 *   seed=N
 *
 * Each 10,000 requests of a closed loop print a line, as does the moment when all its connections have had a first
 * event. At the end a JSON document is printed, one entry a target, times in ms, measured from the planned arrival.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000L
#define TARGETS 2
#define TAIL 16
#define GONE_AFTER_MS 2.0 /* a client that leaves before the answer does so within this time */
#define SOURCES 64        /* loopback addresses that connections come from, as ports of one address run out */

typedef struct {
    double *values;
    size_t used, room;
} samples;

typedef struct {
    int port;
    double rate;
    long next_ns, sent, done, gone, failed;
    samples ttft_ms, gap_ms;
    struct conn *idle;
} target;

typedef struct conn {
    int fd, connecting, streams, has_head, events, gone_at_event, matched;
    long begun_ns, last_ns, gone_ns, left; /* left: bytes of a body of known length; -1 for a chunked one */
    const char *request;
    size_t length, sent;
    char head[8192];
    size_t head_used;
    char tail[TAIL];
    target *to;
    struct conn *next;
    int place; /* among the busy */
} conn;

static target targets[TARGETS];
static int target_count, closed_connections, epoll, first_events;
static conn **busy;
static int busy_used, busy_room;
static double seconds, warm, stream_frac = 1, gone_before, gone_within;
static long request_limit, total_sent, begun_ns, measured_from_ns;
static unsigned long seed = 1;
static char plain_request[4096], stream_request[4096];
static size_t plain_length, stream_length, head_length;

static long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

/* xorshift64*, uniform in [0, 1) */
static double chance(void) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (double)((seed * 2685821657736338717UL) >> 11) / 9007199254740992.0;
}

static void add(samples *s, double value) {
    if (s->used == s->room) {
        s->room = s->room ? 2 * s->room : 65536;
        s->values = realloc(s->values, s->room * sizeof *s->values);
    }
    s->values[s->used++] = value;
}

static void set_busy(conn *c) {
    if (busy_used == busy_room) {
        busy_room = busy_room ? 2 * busy_room : 1024;
        busy = realloc(busy, busy_room * sizeof *busy);
    }
    c->place = busy_used;
    busy[busy_used++] = c;
}

static void set_idle(conn *c) {
    busy[c->place] = busy[--busy_used];
    busy[c->place]->place = c->place;
    c->place = -1;
}

static conn *connect_to(target *to) {
    static unsigned source;
    conn *c = calloc(1, sizeof *c);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source++ % SOURCES)};
    struct sockaddr_in where = {
        .sin_family = AF_INET, .sin_port = htons(to->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->to = to;
    c->place = -1;
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (c->fd < 0 || bind(c->fd, (void *)&from, sizeof from) ||
        (connect(c->fd, (void *)&where, sizeof where) && errno != EINPROGRESS)) {
        perror("load: cannot connect");
        exit(1);
    }
    c->connecting = 1;
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    return c;
}

static void disconnect(conn *c, int reset) {
    struct linger at_once = {1, 0};
    if (c->place >= 0) set_idle(c);
    if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(c->fd);
    free(c);
}

static int write_on(conn *c) {
    while (c->sent < c->length) {
        ssize_t sent = write(c->fd, c->request + c->sent, c->length - c->sent);
        if (sent < 0) return errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
        c->sent += sent;
    }
    return 0;
}

/* Begin a request on a connection; what its client will do is decided here. */
static void begin(conn *c, long planned_ns) {
    c->streams = chance() < stream_frac;
    c->request = c->streams ? stream_request : plain_request;
    c->length = c->streams ? stream_length : plain_length;
    c->sent = c->head_used = 0;
    c->has_head = c->events = c->matched = c->gone_at_event = 0;
    memset(c->tail, 0, TAIL);
    c->left = 0;
    c->gone_ns = 0;
    c->begun_ns = planned_ns;
    if (chance() < gone_before) {
        c->gone_ns = now_ns() + (long)(chance() * GONE_AFTER_MS * 1e6) + 1;
        if (chance() < 0.33) c->length = head_length + (c->length - head_length) / 2;
    } else if (c->streams && chance() < gone_within)
        c->gone_at_event = 1 + (int)(chance() * 4);
    c->to->sent++;
    total_sent++;
    if (closed_connections && total_sent % 10000 == 0) printf("%ld\n", total_sent);
    set_busy(c);
    if (!c->connecting) write_on(c);
}

static int over(void) { return request_limit && total_sent >= request_limit; }

static void next_in_loop(conn *c, target *to) {
    if (!closed_connections || over()) return;
    begin(c ? c : connect_to(to), now_ns());
}

static void leave(conn *c) {
    target *to = c->to;
    to->gone++;
    disconnect(c, chance() < 0.5);
    next_in_loop(NULL, to);
}

static void fail(conn *c) {
    target *to = c->to;
    to->failed++;
    disconnect(c, 0);
    next_in_loop(NULL, to);
}

static void finish(conn *c) {
    target *to = c->to;
    to->done++;
    set_idle(c);
    if (closed_connections) {
        next_in_loop(c, to);
        return;
    }
    c->next = to->idle;
    to->idle = c;
}

static void event_came(conn *c, long now) {
    if (++c->events == 1) {
        if (c->begun_ns >= measured_from_ns) add(&c->to->ttft_ms, (now - c->begun_ns) / 1e6);
        if (++first_events == closed_connections) printf("all open\n");
    } else if (c->begun_ns >= measured_from_ns)
        add(&c->to->gap_ms, (now - c->last_ns) / 1e6);
    c->last_ns = now;
}

/* Look through bytes of a body; 1 if it is complete. */
static int body_came(conn *c, const char *data, size_t length, long now) {
    static const char mark[] = "data: {";
    if (!c->streams && length > 0 && c->events == 0) event_came(c, now);
    if (c->left >= 0) {
        c->left -= length;
        return c->left <= 0;
    }
    for (size_t n = 0; n < length; n++) {
        c->matched = data[n] == mark[c->matched] ? c->matched + 1 : data[n] == mark[0];
        if (mark[c->matched]) continue;
        c->matched = 0;
        event_came(c, now);
    }
    size_t kept = length < TAIL ? length : TAIL;
    memmove(c->tail, c->tail + kept, TAIL - kept);
    memcpy(c->tail + TAIL - kept, data + length - kept, kept);
    return !memcmp(c->tail + TAIL - 7, "\r\n0\r\n\r\n", 7);
}

/* Take bytes of an answer: 1 if it is complete, -1 if it is wrong. */
static int answer_came(conn *c, const char *data, size_t length, long now) {
    if (c->has_head) return body_came(c, data, length, now);
    if (c->head_used + length >= sizeof c->head) return -1;
    memcpy(c->head + c->head_used, data, length);
    c->head_used += length;
    c->head[c->head_used] = 0;
    char *blank = strstr(c->head, "\r\n\r\n");
    if (!blank) return 0;
    if (strncmp(c->head, "HTTP/1.1 200", 12)) return -1;
    size_t head = blank - c->head + 4;
    blank[2] = 0;
    char *declared = strcasestr(c->head, "\r\ncontent-length:");
    c->left = declared ? atol(declared + 17) : -1;
    c->has_head = 1;
    return body_came(c, c->head + head, c->head_used - head, now);
}

static void readable(conn *c) {
    char data[4096];
    for (;;) {
        ssize_t got = read(c->fd, data, sizeof data);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            if (c->place >= 0) {
                fail(c);
                return;
            }
            for (conn **link = &c->to->idle; *link; link = &(*link)->next)
                if (*link == c) {
                    *link = c->next;
                    break;
                }
            disconnect(c, 0);
            return;
        }
        if (c->place < 0) continue;
        int end = answer_came(c, data, got, now_ns());
        if (end < 0) {
            fail(c);
            return;
        }
        if (c->gone_at_event && c->events >= c->gone_at_event) {
            leave(c);
            return;
        }
        if (end) {
            finish(c);
            return;
        }
    }
}

static void happened(conn *c, unsigned events) {
    if (events & EPOLLOUT) {
        c->connecting = 0;
        if (c->place >= 0 && write_on(c)) {
            fail(c);
            return;
        }
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
}

static void arrivals(long now) {
    for (target *t = targets; t < targets + target_count; t++)
        while (t->rate > 0 && t->next_ns <= now) {
            conn *c = t->idle;
            if (c)
                t->idle = c->next;
            else
                c = connect_to(t);
            begin(c, t->next_ns);
            t->next_ns += (long)(-log(1 - chance()) / t->rate * 1e9);
        }
}

static void departures(long now) {
    for (int n = 0; n < busy_used; n++)
        if (busy[n]->gone_ns && busy[n]->gone_ns <= now) leave(busy[n--]);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, samples *s) {
    printf("\"%s\":", name);
    if (!s->used) {
        printf("null");
        return;
    }
    qsort(s->values, s->used, sizeof *s->values, by_value);
    printf("{\"n\":%zu,\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"max\":%.4f}", s->used, s->values[s->used / 2],
           s->values[(size_t)(s->used * 0.9)], s->values[(size_t)(s->used * 0.99)], s->values[s->used - 1]);
}

static void report(void) {
    printf("[");
    for (target *t = targets; t < targets + target_count; t++) {
        printf("%s{\"sent\":%ld,\"done\":%ld,\"gone\":%ld,\"failed\":%ld,", t == targets ? "" : ",", t->sent, t->done,
               t->gone, t->failed);
        print_samples("ttft_ms", &t->ttft_ms);
        printf(",");
        print_samples("gap_ms", &t->gap_ms);
        printf("}");
    }
    printf("]\n");
}

static void option(char *word) {
    char *value = strchr(word, '=');
    if (!value) {
        fprintf(stderr, "load: %s is not NAME=VALUE\n", word);
        exit(2);
    }
    *value++ = 0;
    char *second = strchr(value, ',');
    if (!strcmp(word, "ports")) {
        targets[0].port = atoi(value);
        targets[1].port = second ? atoi(second + 1) : 0;
        target_count = second ? 2 : 1;
    } else if (!strcmp(word, "rates")) {
        targets[0].rate = atof(value);
        targets[1].rate = second ? atof(second + 1) : 0;
    } else if (!strcmp(word, "connections"))
        closed_connections = atoi(value);
    else if (!strcmp(word, "requests"))
        request_limit = atol(value);
    else if (!strcmp(word, "seconds"))
        seconds = atof(value);
    else if (!strcmp(word, "warm"))
        warm = atof(value);
    else if (!strcmp(word, "stream"))
        stream_frac = atof(value);
    else if (!strcmp(word, "gone_before"))
        gone_before = atof(value);
    else if (!strcmp(word, "gone_within"))
        gone_within = atof(value);
    else if (!strcmp(word, "seed"))
        seed = strtoul(value, NULL, 10) * 2654435761UL + 1;
    else {
        fprintf(stderr, "load: %s is no option\n", word);
        exit(2);
    }
}

static size_t compose(char *out, size_t room, const char *extra) {
    char body[2048], text[901];
    for (size_t n = 0; n < 900; n++) text[n] = "The quick brown fox jumps over the lazy dog. "[n % 45];
    text[900] = 0;
    int length = snprintf(body, sizeof body,
                          "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],\"max_tokens\":64,"
                          "\"service_tier\":\"auto\"%s}",
                          text, extra);
    int head = snprintf(out, room,
                        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n",
                        targets[0].port, length);
    memcpy(out + head, body, length);
    head_length = head;
    return head + length;
}

int main(int count, char **arguments) {
    struct rlimit files;
    struct epoll_event events[512];
    for (int n = 1; n < count; n++) option(arguments[n]);
    if (!target_count || (!closed_connections && targets[0].rate <= 0)) {
        fprintf(stderr, "usage: load ports=P[,Q] (rates=R[,S] | connections=N) [NAME=VALUE...]\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    plain_length = compose(plain_request, sizeof plain_request, "");
    stream_length =
        compose(stream_request, sizeof stream_request, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    epoll = epoll_create1(0);
    begun_ns = now_ns();
    measured_from_ns = begun_ns + (long)(warm * 1e9);
    long end_ns = seconds > 0 ? measured_from_ns + (long)(seconds * 1e9) : 0;
    for (target *t = targets; t < targets + target_count; t++) t->next_ns = begun_ns;
    /* Connections of the closed loop begin a few at a time, so that no queue of connections overflows. */
    int to_open = closed_connections;
    for (;;) {
        long now = now_ns(), wake = now + NS / 100;
        if (end_ns && now >= end_ns) break;
        if (over() && busy_used == 0) break;
        for (int n = 0; n < 64 && to_open > 0; n++, to_open--) next_in_loop(NULL, targets);
        arrivals(now);
        if (gone_before > 0) departures(now);
        for (target *t = targets; t < targets + target_count; t++)
            if (t->rate > 0 && t->next_ns < wake) wake = t->next_ns;
        if (gone_before > 0 && now + NS / 10000 < wake) wake = now + NS / 10000;
        long left = wake - now_ns();
        struct timespec wait = {0, left > 0 && to_open == 0 ? left : to_open ? NS / 1000 : 0};
        int ready = epoll_pwait2(epoll, events, 512, &wait, NULL);
        for (int n = 0; n < ready; n++) happened(events[n].data.ptr, events[n].events);
    }
    report();
    return 0;
}
