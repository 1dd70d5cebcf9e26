// SPDX-License-Identifier: GPL-2.0-or-later
// Which nodes of xenstore the worker may use.
#include <doctest/doctest.h>

#include "platform/remote/node_rules.hpp"

using namespace platform;
using namespace platform::remote;

TEST_CASE("two processes: the nodes that a PCI backend and its toolstack write") {
  for (const auto* path :
       {"/local/domain/0/backend/pci/7", "/local/domain/0/backend/pci/7/0", "/local/domain/0/backend/pci/7/0/state",
        "/local/domain/0/backend/pci/7/0/vdev-3", "/local/domain/0/error/backend/pci/7/0/error",
        "/local/domain/0/pcibackd", "/local/domain/0/pcibackd/7/state", "/local/domain/7/device/pci/0",
        "/local/domain/7/device/pci/0/backend", "/libxl/pci/0000-03-00-0/domid",
        "/libxl/pci/0000-03-00-0/driver_path"}) {
    CAPTURE(path);
    CHECK(kind_of_node(path).writable);
    CHECK(kind_of_node(path).readable);
    CHECK(may_watch(path));
  }
}

TEST_CASE("two processes: the nodes that it only reads") {
  for (const auto* path :
       {"/local/domain", "/local/domain/0/name", "/local/domain/7/domid", "/local/domain/7/name", "/local/domain/7/vm",
        "/local/domain/7/target", "/local/domain/7/device/pci", "/local/domain/7/error/device/pci/0/error",
        "/local/domain/0/backend/pci", "/libxl/pci", "/libxl/pci/0000-03-00-0", "/libxl/7/type"}) {
    CAPTURE(path);
    CHECK(kind_of_node(path).readable);
    CHECK_FALSE(kind_of_node(path).writable);
  }
  CHECK(may_watch("@releaseDomain"));
  CHECK(may_watch("@introduceDomain"));
}

TEST_CASE("two processes: all other nodes are none of its business") {
  for (const auto* path : {"",
                           "/",
                           "//",
                           "local/domain",
                           "/local",
                           "/local/domain/",
                           "/local/domain//name",
                           "/local/domain/0",
                           "/local/domain/0/backend",
                           "/local/domain/0/backend/vbd/7/0/params",
                           "/local/domain/0/backend/pci/0/0/state",
                           "/local/domain/0/backend/pci/32752/0",
                           "/local/domain/0/backend/pci/x",
                           "/local/domain/0/backend/pci/7/0/",
                           "/local/domain/0/backend/pci/7//0",
                           "/local/domain/0/device/pci/0/state",
                           "/local/domain/7",
                           "/local/domain/7/memory/target",
                           "/local/domain/7/control/shutdown",
                           "/local/domain/7/device/vif/0/state",
                           "/local/domain/7/console/tty",
                           "/local/domain/7/name/x",
                           "/local/domain/99999/name",
                           "/vm",
                           "/tool",
                           "/libxl/7/dm-version",
                           "/libxl/0/type",
                           "/libxl",
                           "@somethingElse"}) {
    CAPTURE(path);
    CHECK_FALSE(kind_of_node(path).readable);
    CHECK_FALSE(kind_of_node(path).writable);
    CHECK_FALSE(may_watch(path));
  }
  CHECK_FALSE(kind_of_node(std::string_view("/local/domain/7/name\0", 21)).readable);
  CHECK_FALSE(kind_of_node("/local/domain/7/device/pci/1/state").writable);
  CHECK_FALSE(kind_of_node("/libxl/pci/0000-03-00-0/other").writable);
  CHECK_FALSE(kind_of_node("/libxl/pci/0000-03-00-0/domid/x").writable);
  CHECK_FALSE(kind_of_node("/libxl/pci/somewhere/domid").writable);
  CHECK_FALSE(kind_of_node("/local/domain/0/backend/pci/7" + std::string(4000, 'x')).readable);
}

TEST_CASE("two processes: rights go to dom0 and to the guest whose node it is") {
  using who = std::vector<node_permission>;
  CHECK(may_permit("/local/domain/0/backend/pci/7/0", who{{0, false, false}, {7, true, false}}));
  CHECK(may_permit("/local/domain/7/device/pci/0", who{{7, false, false}, {0, true, false}}));
  CHECK_FALSE(may_permit("/local/domain/0/backend/pci/7/0", who{{0, false, false}, {8, true, false}}));
  CHECK_FALSE(may_permit("/local/domain/0/backend/pci/7/0", who{}));
  CHECK_FALSE(may_permit("/local/domain/0/name", who{{0, false, false}}));
  CHECK_FALSE(may_permit("/local/domain/0/pcibackd", who{{0, false, false}}));
  CHECK_FALSE(may_permit("/libxl/pci/0000-03-00-0/domid", who{{0, false, false}}));
}

TEST_CASE("two processes: a record's name is no path") {
  CHECK(is_record_name("0000:03:00.0"));
  CHECK(is_record_name("resets"));
  for (const auto* name : {"", ".", "..", "../lock", "a/b", ".hidden", "a b"}) {
    CHECK_FALSE(is_record_name(name));
  }
  CHECK_FALSE(is_record_name(std::string(65, 'a')));
}

TEST_CASE("two processes: a refusal can be told from what Xen refuses") {
  CHECK(is_refusal(pci::result<void>(refuse("that")).error()));
  CHECK(is_suspicious(pci::result<void>(refuse("that")).error()));
  CHECK_FALSE(is_refusal({EPERM, "Xen: cannot assign 0000:03:00.0 to domain 7"}));
  CHECK(is_refusal(pci::result<void>(refuse_as_overtaken("that")).error()));
  CHECK_FALSE(is_suspicious(pci::result<void>(refuse_as_overtaken("that")).error()));
}
