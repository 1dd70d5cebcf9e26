// SPDX-License-Identifier: GPL-2.0-or-later
// guest_bridge DIRECTORY DOMID: plays a guest's kernel for the xenstored that fake_xen.c runs on. It listens on the
// socket DIRECTORY/socket-dom<DOMID> and carries what libxenstore's clients say there through the domain's ring, so
// that xenstored takes them for that domain, with its permissions. Several clients share the ring, as in a real guest:
// one request is under way at a time, and a client's watches are told apart by a prefix to their tokens.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

extern "C" {
#include <xen/io/xs_wire.h>
}

namespace {

constexpr int first_domain_port = 100; // fake_xen.c numbers xenstored's ports so

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int checked(int returned, const char* what) {
  if (returned < 0)
    die(what);
  return returned;
}

// Takes the first whole message out of `bytes`; empty while there is none.
std::string take_message(std::string& bytes) {
  xsd_sockmsg header{};
  if (bytes.size() < sizeof header)
    return {};
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::size_t size = sizeof header + header.len;
  if (bytes.size() < size)
    return {};
  std::string message = bytes.substr(0, size);
  bytes.erase(0, size);
  return message;
}

std::uint32_t type_of(const std::string& message) {
  xsd_sockmsg header{};
  message.copy(reinterpret_cast<char*>(&header), sizeof header);
  return header.type;
}

// Where the token starts in a message of the form path, token.
std::size_t token_position(const std::string& message) {
  const auto end_of_path = message.find('\0', sizeof(xsd_sockmsg));
  return end_of_path == std::string::npos ? message.size() : end_of_path + 1;
}

void set_length(std::string& message) {
  const auto length = static_cast<std::uint32_t>(message.size() - sizeof(xsd_sockmsg));
  std::memcpy(message.data() + offsetof(xsd_sockmsg, len), &length, sizeof length);
}

class bridge {
public:
  bridge(const std::string& directory, unsigned domain) : port_(first_domain_port + static_cast<int>(domain)) {
    const auto suffix = std::to_string(domain);
    map_ring(directory + "/ring-" + suffix);
    const auto kicks = directory + "/to-" + suffix;
    if (::mkfifo(kicks.c_str(), 0600) != 0 && errno != EEXIST)
      die("mkfifo");
    kicks_ = checked(::open(kicks.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC), "open kicks");
    channel_ = checked(::open((directory + "/evtchn").c_str(), O_RDWR | O_CLOEXEC), "open evtchn");
    listen_on(directory + "/socket-dom" + suffix);
  }

  [[noreturn]] void run() {
    for (;;) {
      wait();
      next_request();
      carry();
    }
  }

private:
  struct client {
    unsigned serial = 0;
    std::string said;
  };

  void map_ring(const std::string& path) {
    const int file = checked(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open ring");
    checked(::ftruncate(file, 4096), "ftruncate");
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED)
      die("mmap");
    ring_ = static_cast<xenstore_domain_interface*>(page);
    ::close(file);
  }

  void listen_on(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
      die("socket path");
    std::memcpy(address.sun_path, path.data(), path.size());
    listener_ = checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    checked(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    checked(::listen(listener_, 8), "listen");
  }

  void wait() {
    std::vector<pollfd> polled{{listener_, POLLIN, 0}, {kicks_, POLLIN, 0}};
    for (const auto& [descriptor, who] : clients_)
      polled.push_back({descriptor, POLLIN, 0});
    ::poll(polled.data(), polled.size(), -1);
    if (polled[0].revents != 0)
      clients_[checked(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), "accept")].serial = ++serials_;
    char drained[64];
    while (polled[1].revents != 0 && ::read(kicks_, drained, sizeof drained) > 0) {
    }
    for (std::size_t i = 2; i < polled.size(); ++i)
      if (polled[i].revents != 0)
        hear(polled[i].fd);
  }

  void hear(int descriptor) {
    char bytes[4096];
    const auto count = ::read(descriptor, bytes, sizeof bytes);
    if (count > 0) {
      clients_[descriptor].said.append(bytes, static_cast<std::size_t>(count));
      return;
    }
    clients_.erase(descriptor);
    ::close(descriptor);
  }

  // One request at a time, so that an answer needs no address.
  void next_request() {
    if (asking_ != 0)
      return;
    for (auto& [descriptor, who] : clients_) {
      auto message = take_message(who.said);
      if (message.empty())
        continue;
      if (type_of(message) == XS_WATCH || type_of(message) == XS_UNWATCH) {
        message.insert(token_position(message), std::to_string(who.serial) + ":");
        set_length(message);
      }
      asking_ = who.serial;
      outgoing_ += message;
      return;
    }
  }

  // Moves bytes until neither side of the ring moves any more.
  void carry() {
    while (push() | pull()) {
      if (::write(channel_, &port_, sizeof port_) != sizeof port_)
        die("kick xenstored");
      for (auto message = take_message(incoming_); !message.empty(); message = take_message(incoming_))
        deliver(std::move(message));
      next_request();
    }
  }

  bool push() {
    const auto produced = ring_->req_prod;
    const auto space = XENSTORE_RING_SIZE - (produced - std::atomic_ref(ring_->req_cons).load());
    const auto count = std::min<std::size_t>(space, outgoing_.size());
    for (std::size_t i = 0; i < count; ++i)
      ring_->req[MASK_XENSTORE_IDX(produced + i)] = outgoing_[i];
    outgoing_.erase(0, count);
    std::atomic_ref(ring_->req_prod).store(produced + static_cast<XENSTORE_RING_IDX>(count));
    return count != 0;
  }

  bool pull() {
    const auto consumed = ring_->rsp_cons;
    const auto count = std::atomic_ref(ring_->rsp_prod).load() - consumed;
    for (XENSTORE_RING_IDX i = 0; i < count; ++i)
      incoming_ += ring_->rsp[MASK_XENSTORE_IDX(consumed + i)];
    std::atomic_ref(ring_->rsp_cons).store(consumed + count);
    return count != 0;
  }

  void deliver(std::string message) {
    auto serial = asking_;
    if (type_of(message) == XS_WATCH_EVENT) {
      const auto start = token_position(message);
      const auto colon = message.find(':', start);
      serial = static_cast<unsigned>(std::strtoul(message.c_str() + start, nullptr, 10));
      message.erase(start, colon + 1 - start);
      set_length(message);
    } else {
      asking_ = 0;
    }
    for (const auto& [descriptor, who] : clients_)
      if (who.serial == serial && ::send(descriptor, message.data(), message.size(), MSG_NOSIGNAL) < 0)
        std::perror("client");
  }

  int port_;
  int kicks_ = -1;
  int channel_ = -1;
  int listener_ = -1;
  xenstore_domain_interface* ring_ = nullptr;
  unsigned serials_ = 0;
  unsigned asking_ = 0; // the serial of the client whose request is under way; 0: none
  std::map<int, client> clients_;
  std::string outgoing_;
  std::string incoming_;
};

} // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: guest_bridge DIRECTORY DOMID\n", stderr);
    return 2;
  }
  bridge(arguments[1], static_cast<unsigned>(std::strtoul(arguments[2], nullptr, 10))).run();
}
