/* A mock of vLLM's HTTP server for measuring proxies: one thread, epoll, HTTP/1.1 keep-alive.
 *
 * usage: mock_engine CHUNKS INTERVAL_US DELAY_US ADDRESSES
 *
 * It listens on one port, chosen by the system and printed, at 127.0.0.1 and the next ADDRESSES - 1 loopback addresses,
 * so that one process looks like that many engines. A POST whose body holds "stream":true is answered by CHUNKS
 * server-sent events INTERVAL_US apart, any other by one JSON document after DELAY_US. GET /bench/counts tells how
 * many requests came, how many chunks were sent and how many answers the other side did not wait for.
 *
 * Heads are trusted: what the proxies under test send is well-formed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

#define MAX_FDS 65536
#define FIRST_BUFFER 16384
#define NS 1000000000L

typedef struct {
    int fd, listens;
    char *in;
    size_t used, room, need; /* need: bytes of head and body of the request being read, 0 while its head is incomplete */
    size_t head;
    int left;     /* chunks still to send; of a JSON answer that waits for its time, 1 */
    int streams;  /* what is being answered is a stream */
    long due_ns;
    int place;    /* in the heap, or -1 */
} conn;

static conn *conns[MAX_FDS];
static conn *heap[MAX_FDS]; /* answers that wait for their time, soonest first */
static int heap_used;
static int chunks, epoll;
static long interval_ns, delay_ns;
static long count_requests, count_chunks, count_gone;

static const char *JSON_ANSWER =
    "{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1763683200,\"model\":\"m\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Lorem ipsum dolor sit amet, "
    "consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim "
    "veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat. Duis aute irure dolor "
    "in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur.\"},\"logprobs\":null,"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":128,\"total_tokens\":192,\"completion_tokens\":64}}";
static const char *MODELS =
    "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\",\"created\":1763683200,\"owned_by\":\"vllm\","
    "\"root\":\"m\",\"parent\":null,\"max_model_len\":4096}]}";
static const char *METRICS =
    "vllm:num_requests_running{model_name=\"m\"} 1.0\nvllm:num_requests_waiting{model_name=\"m\"} 0.0\n"
    "vllm:kv_cache_usage_perc{model_name=\"m\"} 0.1\n";
static const char *INFO =
    "{\"model_id\":\"m\",\"model_path\":\"m\",\"served_model_name\":\"m\",\"tokenizer_path\":\"\","
    "\"is_generation\":true,\"version\":\"0.32.0\",\"dp_size\":1}";
static const char *STREAM_HEAD =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
static const char *EVENT =
    "data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1763683200,"
    "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,"
    "\"finish_reason\":null}]}\n\n";

static long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

static void put(int place, conn *c) {
    heap[place] = c;
    c->place = place;
}

static void sift_up(int place) {
    for (; place > 0 && heap[(place - 1) / 2]->due_ns > heap[place]->due_ns; place = (place - 1) / 2) {
        conn *child = heap[place];
        put(place, heap[(place - 1) / 2]);
        put((place - 1) / 2, child);
    }
}

static void sift_down(int place) {
    for (;;) {
        int least = place;
        for (int child = 2 * place + 1; child <= 2 * place + 2 && child < heap_used; child++)
            if (heap[child]->due_ns < heap[least]->due_ns) least = child;
        if (least == place) return;
        conn *parent = heap[place];
        put(place, heap[least]);
        put(least, parent);
        place = least;
    }
}

static void schedule(conn *c, long due_ns) {
    c->due_ns = due_ns;
    put(heap_used, c);
    sift_up(heap_used++);
}

static void unschedule(conn *c) {
    int place = c->place;
    if (place < 0) return;
    c->place = -1;
    if (place == --heap_used) return;
    put(place, heap[heap_used]);
    sift_up(place);
    sift_down(heap[place]->place);
}

static void end(conn *c) {
    if (c->left > 0) count_gone++;
    unschedule(c);
    close(c->fd);
    conns[c->fd] = NULL;
    free(c->in);
    free(c);
}

/* Write all of it; a reader that keeps the buffer full for a second is given up. */
static int send_all(conn *c, const char *data, size_t length) {
    int patience = 20000;
    while (length > 0) {
        ssize_t sent = write(c->fd, data, length);
        if (sent < 0) {
            if (errno != EAGAIN || patience-- == 0) return -1;
            usleep(50);
            continue;
        }
        data += sent;
        length -= sent;
    }
    return 0;
}

static int reply(conn *c, const char *type, const char *body) {
    char out[4096];
    int length = snprintf(out, sizeof out,
                          "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\n"
                          "x-request-id: 0123456789abcdef\r\n\r\n%s",
                          type, strlen(body), body);
    return send_all(c, out, length);
}

static int send_chunk(conn *c) {
    char event[512], out[600];
    const char *data = EVENT;
    int last = --c->left == 0;
    if (last) {
        snprintf(event, sizeof event,
                 "data: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":1763683200,"
                 "\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":128,\"total_tokens\":%d,"
                 "\"completion_tokens\":%d}}\n\ndata: [DONE]\n\n",
                 128 + chunks, chunks);
        data = event;
    }
    int length = snprintf(out, sizeof out, "%zx\r\n%s\r\n%s", strlen(data), data, last ? "0\r\n\r\n" : "");
    count_chunks++;
    return send_all(c, out, length);
}

static int answer_get(conn *c) {
    const char *target = c->in + 4;
    char counts[128];
    if (!strncmp(target, "/v1/models", 10)) return reply(c, "application/json", MODELS);
    if (!strncmp(target, "/metrics", 8)) return reply(c, "text/plain; version=0.0.4", METRICS);
    if (strstr(c->in, "info HTTP/")) return reply(c, "application/json", INFO);
    if (strncmp(target, "/bench/counts", 13)) return reply(c, "application/json", "{}");
    snprintf(counts, sizeof counts, "{\"requests\":%ld,\"chunks\":%ld,\"gone\":%ld}", count_requests, count_chunks,
             count_gone);
    return reply(c, "application/json", counts);
}

static int answer_post(conn *c) {
    char *body = c->in + c->head;
    size_t length = c->need - c->head;
    count_requests++;
    c->streams = memmem(body, length, "\"stream\":true", 13) || memmem(body, length, "\"stream\": true", 14);
    c->left = c->streams ? chunks : 1;
    if (c->streams && send_all(c, STREAM_HEAD, strlen(STREAM_HEAD))) return -1;
    long wait_ns = c->streams ? interval_ns : delay_ns;
    if (wait_ns > 0) {
        schedule(c, now_ns() + wait_ns);
        return 0;
    }
    if (!c->streams) {
        c->left = 0;
        return reply(c, "application/json", JSON_ANSWER);
    }
    while (c->left > 0)
        if (send_chunk(c)) return -1;
    return 0;
}

/* Find where the request at the beginning of the buffer ends: 1 if all of it is there. */
static int is_whole(conn *c) {
    if (c->need == 0) {
        char *blank = memmem(c->in, c->used, "\r\n\r\n", 4);
        if (!blank) return 0;
        c->head = blank - c->in + 4;
        c->in[c->head - 1] = 0;
        char *length = strcasestr(c->in, "\ncontent-length:");
        int chunked = strcasestr(c->in, "transfer-encoding: chunked") != NULL;
        c->in[c->head - 1] = '\n';
        if (chunked) {
            char *last = memmem(c->in + c->head, c->used - c->head, "0\r\n\r\n", 5);
            if (!last) return 0;
            c->need = last - c->in + 5;
        } else
            c->need = c->head + (length ? strtoul(length + 16, NULL, 10) : 0);
        if (c->need > c->room) {
            c->room = c->need;
            c->in = realloc(c->in, c->room + 1);
        }
    }
    return c->used >= c->need;
}

static int process(conn *c) {
    while (c->left == 0 && is_whole(c)) {
        c->in[c->used] = 0;
        if (strncmp(c->in, "GET ", 4) ? answer_post(c) : answer_get(c)) return -1;
        memmove(c->in, c->in + c->need, c->used - c->need);
        c->used -= c->need;
        c->need = 0;
    }
    return 0;
}

static void watch(int fd, int listens) {
    conn *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = fd;
    c->listens = listens;
    c->place = -1;
    if (!listens) {
        c->room = FIRST_BUFFER;
        c->in = malloc(c->room + 1);
    }
    conns[fd] = c;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(conn *listener) {
    int on = 1, fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fd, 0);
    }
}

static void readable(conn *c) {
    if (c->used == c->room) {
        c->room *= 2;
        c->in = realloc(c->in, c->room + 1);
    }
    ssize_t got = read(c->fd, c->in + c->used, c->room - c->used);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        end(c);
        return;
    }
    c->used += got;
    if (process(c)) end(c);
}

static void send_due(void) {
    long now = now_ns();
    while (heap_used && heap[0]->due_ns <= now) {
        conn *c = heap[0];
        unschedule(c);
        int failed;
        if (c->streams)
            failed = send_chunk(c);
        else {
            c->left = 0;
            failed = reply(c, "application/json", JSON_ANSWER);
        }
        if (!failed && c->left > 0)
            schedule(c, c->due_ns + interval_ns);
        else if (failed || process(c))
            end(c);
    }
}

static int listen_on(unsigned address, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    socklen_t length = sizeof where;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)&where, sizeof where) || listen(fd, 4096) || getsockname(fd, (void *)&where, &length)) {
        perror("mock_engine: cannot listen");
        exit(1);
    }
    watch(fd, 1);
    return ntohs(where.sin_port);
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: mock_engine CHUNKS INTERVAL_US DELAY_US ADDRESSES\n");
        return 2;
    }
    struct rlimit files;
    struct epoll_event events[512];
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    chunks = atoi(arguments[1]);
    interval_ns = atol(arguments[2]) * 1000;
    delay_ns = atol(arguments[3]) * 1000;
    epoll = epoll_create1(0);
    int port = 0;
    for (int n = 0; n < atoi(arguments[4]); n++) port = listen_on(INADDR_LOOPBACK + n, port);
    printf("%d\n", port);
    fflush(stdout);
    for (;;) {
        struct timespec wait = {0, 0};
        if (heap_used) {
            long left = heap[0]->due_ns - now_ns();
            if (left > 0) wait = (struct timespec){left / NS, left % NS};
        }
        int ready = epoll_pwait2(epoll, events, 512, heap_used ? &wait : NULL, NULL);
        for (int n = 0; n < ready; n++) {
            conn *c = events[n].data.ptr;
            if (c->listens)
                accept_all(c);
            else
                readable(c);
        }
        send_due();
    }
}
