// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>

#include <doctest/doctest.h>

#include "pci/config_space/registers.hpp"
#include "sim/sim_support.hpp"

using namespace sim_test;
namespace reg = pci::reg;

TEST_CASE("the dumps that are compiled in are the lab's functions") {
  const auto nic = *sim::builtin_model("e1000e");
  CHECK(nic.vendor == 0x8086);
  CHECK(nic.device == 0x10d3);
  CHECK(nic.irq == 22);
  CHECK(nic.level);
  CHECK(nic.config.size() == 4096);
  CHECK(nic.resources[0].start == 0xfe440000);
  CHECK(nic.resources[2].is_io());
  const sim::device device(nic);
  CHECK(device.msix() == 0xa0);
  CHECK(device.msi() == 0xd0);
  CHECK_FALSE(sim::builtin_model("e1000")->has_reset);
  CHECK(sim::device(*sim::builtin_model("e1000")).msix() == 0);
  CHECK(sim::builtin_model("nvme")->has_flr);
  const auto vf = *sim::builtin_model("nvme-vf");
  CHECK(vf.irq == 0);
  CHECK(vf.physical_function == pci::make_sbdf(0, 2, 0, 0));
  CHECK(vf.device == 0x0010);
  CHECK(sim::device(vf).read(0, 4) == 0xffffffff);
  CHECK((sim::device(*sim::builtin_model("bridge")).read(reg::header_type, 1) & 0x7f) == 1);
  CHECK(error_of(sim::builtin_model("toaster")) == ENOENT);
}

TEST_CASE("a dump without resources has its BARs from the registers") {
  const auto parsed = sim::parse_dump("0001:03:00.1 Ethernet controller\n"
                                      "00: 86 80 0e 10 07 04 10 00 03 00 00 02 00 00 00 00\n"
                                      "10: 0c 00 00 c0 01 00 00 00 01 d0 00 00 00 00 00 00\n"
                                      "30: 00 00 00 00 40 00 00 00 00 00 00 00 0a 01 00 00\n");
  REQUIRE(parsed.has_value());
  CHECK(parsed->address == pci::make_sbdf(1, 3, 0, 1));
  CHECK(parsed->config.size() == 256);
  CHECK(parsed->resources[0].start == 0x1c0000000);
  CHECK(parsed->resources[1].size() == 0);
  CHECK(parsed->resources[2].is_io());
  CHECK(parsed->resources[2].start == 0xd000);
  CHECK(parsed->irq == 10);
}

TEST_CASE("what is no dump is refused") {
  for (const char* text :
       {"", "00:03.0 x\n", "hello\n00: 00\n", "00:03.0 x\n00: 86 80\n", "00:03.0 x\n08: 0 0\n",
        "00:03.0 x\n1000: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n", "00:40.0 x\n",
        "00:03.0 x\n00: zz 80 0e 10 07 04 10 00 03 00 00 02 00 00 00 00\n", "00:03.0 x\nresource: 1 2\n"})
    CHECK_MESSAGE(error_of(sim::parse_dump(text)) == EINVAL, text);
}

TEST_CASE("writes change what hardware lets them change") {
  sim::device nic(*sim::builtin_model("e1000e"));
  CHECK(nic.command() == 0);
  nic.write(reg::command, 2, 0xffff);
  CHECK(nic.command() == 0x0547);
  nic.write(reg::vendor_id, 4, 0);
  CHECK(nic.read(reg::vendor_id, 4) == 0x10d38086);
  nic.write(reg::bar0, 4, 0xffffffff);
  CHECK(nic.read(reg::bar0, 4) == 0xfffe0000);
  nic.write(0x18, 4, 0xffffffff);
  CHECK(nic.read(0x18, 4) == 0xffffffe1);
  nic.write(reg::rom_type0, 4, 0xffffffff);
  CHECK(nic.read(reg::rom_type0, 4) == 0xfffc0001);
  nic.write(nic.msix() + 2U, 2, 0xffff);
  CHECK(nic.msix_control() == 0xc004);
  nic.write(reg::interrupt_line, 4, 0xffffffff);
  CHECK(nic.read(reg::interrupt_line, 2) == 0x01ff);
  nic.force_word(reg::status, 0x8000, 0);
  nic.write(reg::status, 2, 0x8000);
  CHECK(nic.read(reg::status, 2) == 0x0010);
}

TEST_CASE("a reset goes back to the values of power-on") {
  sim::device disk(*sim::builtin_model("nvme"));
  disk.write(reg::command, 2, 0x0006);
  disk.write(disk.msix() + 2U, 2, 0x8000);
  disk.reset();
  CHECK(disk.command() == 0);
  CHECK((disk.msix_control() & 0xc000) == 0);
  CHECK(disk.read(reg::bar0, 4) == 0x00000004);
  disk.write(reg::command, 2, 0x0006);
  disk.write(0x88, 2, 0x8000); // Initiate FLR
  CHECK(disk.command() == 0);
  CHECK(disk.resets() == 2);
}

TEST_CASE("a virtual function's decoding is not its own") {
  sim::device vf(*sim::builtin_model("nvme-vf"));
  vf.write(reg::command, 2, 0xffff);
  CHECK(vf.command() == reg::command_master);
  vf.write(reg::bar0, 4, 0xffffffff);
  CHECK(vf.read(reg::bar0, 4) == 0);
}

TEST_CASE("a function at another address has BARs of its own") {
  const auto one = model("e1000e", slot3), two = model("e1000e", slot4);
  CHECK(one.resources[0].start != two.resources[0].start);
  for (const auto& resource : one.resources)
    if (resource.size() != 0)
      CHECK(resource.start % resource.size() == 0);
  CHECK(sim::device(one).read(reg::bar0, 4) == one.resources[0].start);
  CHECK(one.resources[6].size() == 0x40000);
}
