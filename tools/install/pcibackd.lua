-- SPDX-License-Identifier: GPL-2.0-or-later
-- Shows in Wireshark and tshark what `pcibackctl trace -w FILE` has written: an operation of a guest's a packet, in the
-- link type USER0. The form of a packet is in trace-format.md.
local pcibackd = Proto("pcibackd", "Xen PCI backend operation")

local codes = {
  [0] = "conf_read", [1] = "conf_write", [2] = "enable_msi", [3] = "disable_msi", [4] = "enable_msix", [5] = "disable_msix",
  [6] = "aer_detected", [7] = "aer_resume", [8] = "aer_mmio", [9] = "aer_slotreset", [10] = "enable_multi_msi",
}
local errors = {
  [0] = "success", [-1] = "dev_not_found", [-2] = "invalid_offset", [-3] = "access_denied", [-4] = "not_implemented",
  [-5] = "op_failed",
}

local field = {
  version = ProtoField.uint8("pcibackd.version", "Version"),
  found = ProtoField.bool("pcibackd.found", "The guest has a function there"),
  domain = ProtoField.uint16("pcibackd.domain", "Domain"),
  code = ProtoField.uint32("pcibackd.operation", "Operation", base.DEC, codes),
  error = ProtoField.int32("pcibackd.error", "Error", base.DEC, errors),
  offset = ProtoField.int32("pcibackd.offset", "Offset"),
  size = ProtoField.int32("pcibackd.size", "Size"),
  value = ProtoField.uint32("pcibackd.value", "Value", base.HEX),
  vectors = ProtoField.uint16("pcibackd.vectors", "Vectors"),
  func = ProtoField.string("pcibackd.function", "Function on the host"),
  took = ProtoField.double("pcibackd.took", "Time taken (microseconds)"),
  virtual = ProtoField.string("pcibackd.virtual_address", "Address that the guest named"),
  guest = ProtoField.string("pcibackd.guest", "Guest"),
  register = ProtoField.string("pcibackd.register", "Register"),
}
pcibackd.fields = field

local short = ProtoExpert.new("pcibackd.short", "The packet ends too early", expert.group.MALFORMED, expert.severity.ERROR)
local unknown = ProtoExpert.new("pcibackd.unknown", "A version that this dissector does not know", expert.group.UNDECODED, expert.severity.WARN)
pcibackd.experts = { short, unknown }

local fixed = 43

-- A byte with a length, and as many characters; what follows them.
local function add_text(buffer, tree, at, as)
  if at >= buffer:len() or at + 1 + buffer(at, 1):uint() > buffer:len() then
    tree:add_proto_expert_info(short)
    return nil, buffer:len()
  end
  local length = buffer(at, 1):uint()
  if length == 0 then
    return nil, at + 1
  end
  local text = buffer(at + 1, length):string()
  tree:add(as, buffer(at + 1, length), text)
  return text, at + 1 + length
end

function pcibackd.dissector(buffer, info, root)
  info.cols.protocol = "PCIBACK"
  local tree = root:add(pcibackd, buffer())
  if buffer:len() < fixed then
    tree:add_proto_expert_info(short)
    return
  end
  tree:add(field.version, buffer(0, 1))
  if buffer(0, 1):uint() ~= 1 then
    tree:add_proto_expert_info(unknown)
    return
  end
  local code, size = buffer(4, 4):le_uint(), buffer(16, 4):le_int()
  local found = buffer(1, 1):uint() ~= 0
  tree:add(field.found, buffer(1, 1))
  tree:add_le(field.domain, buffer(2, 2))
  tree:add_le(field.code, buffer(4, 4))
  tree:add_le(field.error, buffer(8, 4))
  tree:add_le(field.offset, buffer(12, 4))
  tree:add_le(field.size, buffer(16, 4))
  tree:add_le(field.value, buffer(20, 4))
  tree:add_le(field.vectors, buffer(24, 2))
  local address = string.format("%04x:%02x:%02x.%d", buffer(26, 2):le_uint(), buffer(28, 1):uint(),
                                math.floor(buffer(29, 1):uint() / 8), buffer(29, 1):uint() % 8)
  if found then
    tree:add(field.func, buffer(26, 4), address)
  end
  tree:add(field.took, buffer(32, 8), buffer(32, 8):le_uint64():tonumber() / 1000)
  local at = 40
  local virtual, guest, register
  virtual, at = add_text(buffer, tree, at, field.virtual)
  guest, at = add_text(buffer, tree, at, field.guest)
  register, at = add_text(buffer, tree, at, field.register)
  info.cols.src = guest or ("domain " .. buffer(2, 2):le_uint())
  info.cols.dst = found and address or ("(" .. (virtual or "?") .. ")")
  local what = codes[code] or ("code " .. code)
  if code <= 1 then
    what = string.format("%s %s", what, register or string.format("%x", buffer(12, 4):le_uint()))
    local digits = (size == 1 or size == 2) and 2 * size or 8
    what = what .. (code == 0 and " = " or " := ") .. string.format("%0" .. digits .. "x", buffer(20, 4):le_uint())
  end
  local error = buffer(8, 4):le_int()
  info.cols.info = what .. (error ~= 0 and (": " .. (errors[error] or error)) or "")
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, pcibackd)
