// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/xenstore_paths.hpp"

#include <doctest/doctest.h>

using namespace pci;

// As xenstore-paths.pandoc and libxl have them: guests, xl and the daemons before this one look there.
TEST_CASE("xenstore paths: where a guest's nodes stand") {
  CHECK(paths::home(7) == "/local/domain/7");
  CHECK(paths::home(7, node::name) == "/local/domain/7/name");
  CHECK(paths::home(0, node::domid) == "/local/domain/0/domid");
  CHECK(paths::backend_parent(7) == "/local/domain/0/backend/pci/7");
  CHECK(paths::backend(7) == "/local/domain/0/backend/pci/7/0");
  CHECK(paths::frontend(7) == "/local/domain/7/device/pci/0");
  CHECK(paths::view(7) == "/local/domain/0/pcibackd/7");
  CHECK(paths::backend_error(7) == "/local/domain/0/error/backend/pci/7/0/error");
  CHECK(paths::backend_error_parent(7) == "/local/domain/0/error/backend/pci/7");
  CHECK(paths::frontend_error(7) == "/local/domain/7/error/device/pci/0/error");
}

TEST_CASE("xenstore paths: what libxl notes") {
  const auto function = make_sbdf(0, 3, 0, 1);
  CHECK(paths::libxl_domain(7, node::type) == "/libxl/7/type");
  CHECK(paths::libxl_function(function, node::domid) == "/libxl/pci/0000-03-00-1/domid");
  CHECK(paths::libxl_function(function, node::driver_path) == "/libxl/pci/0000-03-00-1/driver_path");
  CHECK(paths::driver_path("e1000e") == "/sys/bus/pci/drivers/e1000e");
}

TEST_CASE("xenstore paths: the nodes of a directory and of its numbered devices") {
  CHECK(paths::in("/a/b", node::state) == "/a/b/state");
  CHECK(paths::in("/a/b", node::vdevfn, 12) == "/a/b/vdevfn-12");
  CHECK(node::numbered(node::opts, 0) == "opts-0");
}
