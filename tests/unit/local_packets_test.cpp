// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/local_packets.hpp"

#include <array>
#include <cerrno>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace {

using platform::descriptor;

/// Two ends of a connection, and a file to send over it.
struct packet_ends {
  packet_ends() {
    std::array<int, 2> both{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both.data()) == 0);
    here = descriptor{both[0]};
    there = descriptor{both[1]};
    file = descriptor{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  }
  platform::received_packet receive(descriptor* attached) {
    return platform::receive_packet(there.get(), room, attached, MSG_DONTWAIT);
  }
  [[nodiscard]] std::string text(ssize_t size) const { return {room.data(), static_cast<std::size_t>(size)}; }

  descriptor here, there, file;
  std::array<char, 8> room{};
};

bool is_same_file(const descriptor& one, const descriptor& other) {
  struct stat a {
  }, b{};
  return ::fstat(one.get(), &a) == 0 && ::fstat(other.get(), &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

} // namespace

TEST_CASE_FIXTURE(packet_ends, "local packets: a descriptor goes with its packet, and closes in no other program") {
  REQUIRE(platform::send_packet(here.get(), "one", file.get()) == 3);
  REQUIRE(platform::send_packet(here.get(), "two", -1) == 3);
  descriptor attached;
  auto got = receive(&attached);
  CHECK(text(got.size) == "one");
  CHECK_FALSE(got.truncated);
  REQUIRE(attached.get() >= 0);
  CHECK(attached.get() != file.get());
  CHECK(is_same_file(attached, file));
  CHECK((::fcntl(attached.get(), F_GETFD) & FD_CLOEXEC) != 0);
  got = receive(&attached);
  CHECK(text(got.size) == "two");
  CHECK(attached.get() < 0); // the last one's is closed
}

TEST_CASE_FIXTURE(packet_ends, "local packets: who takes no descriptor gets the packet alone") {
  const int next = ::dup(file.get()); // the number that one would have
  REQUIRE(next >= 0);
  ::close(next);
  REQUIRE(platform::send_packet(here.get(), "one", file.get()) == 3);
  CHECK(text(receive(nullptr).size) == "one");
  CHECK(::fcntl(next, F_GETFD) == -1);
}

TEST_CASE_FIXTURE(packet_ends, "local packets: what is too long, what is empty, and what there is none of") {
  REQUIRE(platform::send_packet(here.get(), "ten letters", -1) == 11);
  const auto cut = receive(nullptr);
  CHECK(cut.size == 8);
  CHECK(cut.truncated);
  descriptor attached;
  REQUIRE(platform::send_packet(here.get(), "", file.get()) == 0);
  CHECK(receive(&attached).size == 0);
  CHECK(attached.get() >= 0); // or nobody would close it
  const auto none = receive(&attached);
  CHECK(none.size == -1);
  CHECK(errno == EAGAIN);
  CHECK(attached.get() < 0);
  here = descriptor{};
  CHECK(receive(&attached).size == 0);
  CHECK(platform::send_packet(there.get(), "one", -1) == -1); // and no SIGPIPE
  CHECK(errno == EPIPE);
}
