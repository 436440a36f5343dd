// What eniway needs from Linux and JavaScript cannot do: talk netlink and write settings inside
// another network namespace, delete links on a thread of its own, and ask who is behind a socket.
// It moves bytes and decides nothing; messages are built and read in linux/netlink.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <node_api.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  // An answer takes about 1 KiB of receive buffer, so those of a chunk fit even a default one.
  CHUNK_MESSAGES_MAX = 64,
  CHUNK_BYTES_MAX = 32 * 1024,
  // An nf_tables batch cannot be split (net/netfilter/nfnetlink.c), so this also limits its size.
  SOCKET_BUFFER_BYTES = 8 * 1024 * 1024,
  RECEIVE_TIMEOUT_SECONDS = 5,
  REPLY_BYTES_MAX = 256 * 1024 * 1024,
  DELETE_QUEUE_MAX = 65536,
};

struct buffer {
  uint8_t *data;
  size_t length, capacity;
};

// Netlink: functions return 0 or a negative errno

static int own_namespace = -1;
static int own_sockets[NETLINK_NETFILTER + 1];

static int open_socket(int protocol) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  return fd < 0 ? -errno : fd;
}

static void return_home(void) {
  if (setns(own_namespace, CLONE_NEWNET) == 0) return;
  static const char text[] = "eniway: cannot return to the own network namespace, aborting\n";
  (void)!write(STDERR_FILENO, text, sizeof text - 1);
  abort();
}

// Enters the namespace only to create the socket, which then stays in it. Threads created while we
// are inside would inherit the namespace, so nothing but system calls may stand between the setns.
static int open_socket_in(int netns, int protocol) {
  if (setns(netns, CLONE_NEWNET) != 0) return -errno;
  int fd = open_socket(protocol);
  return_home();
  return fd;
}

// /proc/sys/net shows the settings of the namespace in which it is opened (net/sysctl_net.c).
static int write_setting(int netns, const char *path, const char *text) {
  if (setns(netns, CLONE_NEWNET) != 0) return -errno;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  int error = fd < 0 ? -errno : 0;
  return_home();
  if (fd < 0) return error;
  if (write(fd, text, strlen(text)) < 0) error = -errno;
  close(fd);
  return error;
}

// Options that only improve answers or limits: an older kernel or a missing capability may refuse.
static int configure(int fd) {
  if (fd < 0) return fd;
  const int one = 1, size = SOCKET_BUFFER_BYTES;
  const struct timeval timeout = {.tv_sec = RECEIVE_TIMEOUT_SECONDS};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
  setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof one);
  return fd;
}

static bool read_header(const uint8_t *bytes, size_t length, struct nlmsghdr *header) {
  if (length < sizeof *header) return false;
  memcpy(header, bytes, sizeof *header);
  return header->nlmsg_len >= sizeof *header && header->nlmsg_len <= length;
}

static size_t step(const struct nlmsghdr *header, size_t left) {
  size_t aligned = NLMSG_ALIGN((size_t)header->nlmsg_len);
  return aligned < left ? aligned : left;
}

struct chunk {
  const uint8_t *bytes;
  size_t length, awaited;
  uint32_t first, last;
  bool is_batch;
};

// Cuts what one sendmsg may carry: a whole nf_tables batch, a dump (a socket runs one at a time),
// or messages within the limits above.
static int cut_chunk(const uint8_t *bytes, size_t left, int protocol, struct chunk *chunk) {
  *chunk = (struct chunk){.bytes = bytes};
  struct nlmsghdr header;
  for (size_t count = 0; chunk->length < left; count++) {
    if (!read_header(bytes + chunk->length, left - chunk->length, &header)) return -EINVAL;
    size_t size = step(&header, left - chunk->length);
    bool dumps = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP && !chunk->is_batch;
    bool begins = protocol == NETLINK_NETFILTER && header.nlmsg_type == NFNL_MSG_BATCH_BEGIN;
    bool full = count == CHUNK_MESSAGES_MAX || chunk->length + size > CHUNK_BYTES_MAX;
    if (count > 0 && !chunk->is_batch && (dumps || begins || full)) return 0;
    if (count == 0) chunk->first = header.nlmsg_seq;
    chunk->last = header.nlmsg_seq;
    chunk->length += size;
    chunk->is_batch |= begins;
    if (dumps || (header.nlmsg_flags & NLM_F_ACK)) chunk->awaited++;
    if (dumps || (chunk->is_batch && header.nlmsg_type == NFNL_MSG_BATCH_END)) return 0;
  }
  return 0;
}

// Counts down what is awaited. Sequence numbers of one transact are consecutive; others are answers
// to an exchange that was given up. An error for the begin of a batch is about the whole batch,
// whose messages may then stay unanswered (net/netfilter/nfnetlink.c, nfnetlink_rcv_batch).
static void settle(struct chunk *chunk, const uint8_t *bytes, size_t length) {
  struct nlmsghdr reply;
  size_t at = 0;
  for (; read_header(bytes + at, length - at, &reply); at += step(&reply, length - at)) {
    if (reply.nlmsg_type != NLMSG_ERROR && reply.nlmsg_type != NLMSG_DONE) continue;
    if (reply.nlmsg_seq - chunk->first > chunk->last - chunk->first) continue;
    if (chunk->is_batch && reply.nlmsg_seq == chunk->first) chunk->awaited = 0;
    if (chunk->awaited > 0) chunk->awaited--;
  }
}

static int reserve(struct buffer *buffer, size_t more) {
  size_t needed = buffer->length + more;
  if (needed <= buffer->capacity) return 0;
  if (needed > REPLY_BYTES_MAX) return -EMSGSIZE;
  size_t capacity = needed * 2 > 65536 ? needed * 2 : 65536;
  uint8_t *data = realloc(buffer->data, capacity);
  if (data == NULL) return -ENOMEM;
  buffer->data = data;
  buffer->capacity = capacity;
  return 0;
}

static ssize_t receive_retrying(int fd, void *data, size_t length, int flags) {
  ssize_t got;
  do got = recv(fd, data, length, flags);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

// Appends one datagram. Returns its length, or 0 when MSG_DONTWAIT found none.
static ssize_t receive(int fd, struct buffer *replies, int flags) {
  ssize_t size = receive_retrying(fd, NULL, 0, flags | MSG_PEEK | MSG_TRUNC);
  if (size == -EAGAIN) return (flags & MSG_DONTWAIT) ? 0 : -ETIMEDOUT;
  if (size < 0) return size;
  int error = reserve(replies, (size_t)size);
  if (error != 0) return error;
  ssize_t got = receive_retrying(fd, replies->data + replies->length, (size_t)size, flags);
  if (got > 0) replies->length += (size_t)got;
  return got;
}

static int exchange_chunk(int fd, struct chunk *chunk, struct buffer *replies) {
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  ssize_t sent;
  do sent = sendto(fd, chunk->bytes, chunk->length, 0, (const void *)&kernel, sizeof kernel);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return -errno;
  // The kernel works inside sendto, so once everything awaited has come, errors of messages that
  // asked for no answer are already queued: the last rounds collect them without waiting.
  for (;;) {
    ssize_t got = receive(fd, replies, chunk->awaited > 0 ? 0 : MSG_DONTWAIT);
    if (got <= 0) return (int)got;
    settle(chunk, replies->data + replies->length - got, (size_t)got);
  }
}

static int exchange(int fd, int protocol, struct chunk all, struct buffer *replies) {
  struct chunk chunk;
  for (size_t at = 0; at < all.length; at += chunk.length) {
    int error = cut_chunk(all.bytes + at, all.length - at, protocol, &chunk);
    if (error == 0) error = exchange_chunk(fd, &chunk, replies);
    if (error != 0) return error;
  }
  return 0;
}

// The own sockets live long, because closing an nfnetlink socket that deleted set elements waits
// some 15 ms for the kernel's deferred work. After a failure answers may be left: start afresh.
static int exchange_here(int protocol, struct chunk all, struct buffer *replies) {
  if (own_sockets[protocol] <= 0) own_sockets[protocol] = configure(open_socket(protocol));
  if (own_sockets[protocol] < 0) return own_sockets[protocol];
  int error = exchange(own_sockets[protocol], protocol, all, replies);
  if (error != 0) {
    close(own_sockets[protocol]);
    own_sockets[protocol] = 0;
  }
  return error;
}

// Takes over a socket, or the negative errno of one that could not be opened.
static int exchange_once(int fd, int protocol, struct chunk all, struct buffer *replies) {
  if (fd < 0) return fd;
  int error = exchange(configure(fd), protocol, all, replies);
  close(fd);
  return error;
}

// Deletion of links: 20 ms of waiting each, therefore on a thread that nobody waits for

struct deletion {
  struct deletion *next;
  napi_threadsafe_function report;
  napi_ref callback;
  int32_t ifindex, error;
};

struct environment {
  napi_threadsafe_function report;
  uint32_t pending;
};

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static struct deletion *queue_head, **queue_tail = &queue_head;
static size_t queue_length;

static int delete_link(int32_t ifindex) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
  } request = {
    .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_DELLINK,
               .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
    .link = {.ifi_index = ifindex},
  };
  struct chunk all = {.bytes = (const uint8_t *)&request, .length = sizeof request};
  struct buffer replies = {0};
  int error = exchange_once(open_socket(NETLINK_ROUTE), NETLINK_ROUTE, all, &replies);
  if (error == 0) memcpy(&error, replies.data + NLMSG_HDRLEN, sizeof error);
  free(replies.data);
  return error;
}

static void report(struct deletion *job, int error) {
  napi_threadsafe_function function = job->report;
  job->error = error;
  if (napi_call_threadsafe_function(function, job, napi_tsfn_nonblocking) != napi_closing) {
    napi_release_threadsafe_function(function, napi_tsfn_release);
  }
}

static void *run_deleter(void *unused) {
  for (;;) {
    pthread_mutex_lock(&queue_lock);
    while (queue_head == NULL) pthread_cond_wait(&queue_filled, &queue_lock);
    struct deletion *job = queue_head;
    queue_head = job->next;
    if (queue_head == NULL) queue_tail = &queue_head;
    queue_length--;
    pthread_mutex_unlock(&queue_lock);
    report(job, -delete_link(job->ifindex));
  }
  return unused;
}

static void enqueue(struct deletion *job) {
  static pthread_t deleter;
  static bool deleter_runs;
  pthread_mutex_lock(&queue_lock);
  int error = queue_length < DELETE_QUEUE_MAX ? 0 : ENOBUFS;
  if (error == 0 && !deleter_runs) error = pthread_create(&deleter, NULL, run_deleter, NULL);
  deleter_runs |= error == 0;
  if (error == 0) {
    *queue_tail = job;
    queue_tail = &job->next;
    queue_length++;
    pthread_cond_signal(&queue_filled);
  }
  pthread_mutex_unlock(&queue_lock);
  if (error != 0) report(job, error);
}

// Back on the JavaScript thread. Without an environment the process is ending.
static void report_deletion(napi_env env, napi_value unused, void *context, void *data) {
  (void)unused;
  struct deletion *job = data;
  struct environment *environment = context;
  if (env != NULL) {
    napi_value callback, self, argument;
    napi_get_reference_value(env, job->callback, &callback);
    napi_get_undefined(env, &self);
    napi_create_int32(env, job->error, &argument);
    if (--environment->pending == 0) napi_unref_threadsafe_function(env, environment->report);
    napi_call_function(env, self, callback, 1, &argument, NULL);
    napi_delete_reference(env, job->callback);
  }
  free(job);
}

// What JavaScript sees

static napi_value integer(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

static napi_value refuse(napi_env env, const char *text) {
  napi_throw_type_error(env, NULL, text);
  return NULL;
}

// transact(netnsFd, bytes, protocol): the answers as a Buffer, or a negative errno.
static napi_value js_transact(napi_env env, napi_callback_info info) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  struct buffer replies = {0};
  napi_value arguments[3], result;
  size_t count = 3;
  int32_t netns, protocol;
  void *bytes;
  size_t length;
  napi_typedarray_type type;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 3 ||
      napi_get_value_int32(env, arguments[0], &netns) != napi_ok ||
      napi_get_typedarray_info(env, arguments[1], &type, &length, &bytes, NULL, NULL) != napi_ok ||
      type != napi_uint8_array || napi_get_value_int32(env, arguments[2], &protocol) != napi_ok ||
      (protocol != NETLINK_ROUTE && protocol != NETLINK_NETFILTER)) {
    return refuse(env, "transact needs a namespace fd, a Uint8Array and protocol 0 or 12");
  }
  struct chunk all = {.bytes = bytes, .length = length};
  pthread_mutex_lock(&lock);
  int error = netns < 0
      ? exchange_here(protocol, all, &replies)
      : exchange_once(open_socket_in(netns, protocol), protocol, all, &replies);
  pthread_mutex_unlock(&lock);
  if (error != 0) result = integer(env, error);
  else napi_create_buffer_copy(env, replies.length, replies.data, NULL, &result);
  free(replies.data);
  return result;
}

// writeSetting(netnsFd, path, text): 0 or a negative errno.
static napi_value js_write_setting(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3, length;
  int32_t netns;
  char path[128], text[16];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 3 ||
      napi_get_value_int32(env, arguments[0], &netns) != napi_ok || netns < 0 ||
      napi_get_value_string_utf8(env, arguments[1], path, sizeof path, &length) != napi_ok ||
      length + 1 == sizeof path ||
      napi_get_value_string_utf8(env, arguments[2], text, sizeof text, &length) != napi_ok ||
      length + 1 == sizeof text) {
    return refuse(env, "writeSetting needs a namespace fd, a path and a short text");
  }
  return integer(env, write_setting(netns, path, text));
}

// deleteLink(ifindex, callback): callback(errno) when the link is gone or the queue was full.
static napi_value js_delete_link(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int32_t ifindex;
  struct environment *environment;
  struct deletion *job = calloc(1, sizeof *job);
  if (job == NULL) return refuse(env, "deleteLink: out of memory");
  if (napi_get_cb_info(env, info, &count, arguments, NULL, (void **)&environment) != napi_ok ||
      count < 2 || napi_get_value_int32(env, arguments[0], &ifindex) != napi_ok || ifindex <= 0 ||
      napi_create_reference(env, arguments[1], 1, &job->callback) != napi_ok) {
    free(job);
    return refuse(env, "deleteLink needs a positive interface index and a callback");
  }
  job->ifindex = ifindex;
  job->report = environment->report;
  napi_acquire_threadsafe_function(job->report);
  if (environment->pending++ == 0) napi_ref_threadsafe_function(env, environment->report);
  enqueue(job);
  return NULL;
}

// peerCredentials(fd): { pid, uid, gid } of the process that connected, or an errno.
static napi_value js_peer_credentials(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  size_t count = 1;
  int32_t fd;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_int32(env, argument, &fd) != napi_ok) {
    return refuse(env, "peerCredentials needs the fd of a unix socket");
  }
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return integer(env, errno);
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "pid", integer(env, peer.pid));
  napi_set_named_property(env, result, "uid", integer(env, (int32_t)peer.uid));
  napi_set_named_property(env, result, "gid", integer(env, (int32_t)peer.gid));
  return result;
}

NAPI_MODULE_INIT() {
  if (own_namespace < 0) own_namespace = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  struct environment *environment = calloc(1, sizeof *environment);
  napi_value name;
  napi_create_string_utf8(env, "eniway link deletion", NAPI_AUTO_LENGTH, &name);
  if (own_namespace < 0 || environment == NULL ||
      napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, NULL, NULL, environment,
                                      report_deletion, &environment->report) != napi_ok) {
    free(environment);
    napi_throw_error(env, NULL, "eniway addon: cannot open /proc/thread-self/ns/net");
    return NULL;
  }
  napi_unref_threadsafe_function(env, environment->report);
  const napi_property_descriptor functions[] = {
    {"transact", NULL, js_transact, NULL, NULL, NULL, napi_enumerable, NULL},
    {"writeSetting", NULL, js_write_setting, NULL, NULL, NULL, napi_enumerable, NULL},
    {"deleteLink", NULL, js_delete_link, NULL, NULL, NULL, napi_enumerable, environment},
    {"peerCredentials", NULL, js_peer_credentials, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
