-- One site behind the gate: https://wiki.example.com in realm staff. A file like this for each.
local gate = require 'cardea-gate'

local SITE = {
  gate = 'http://127.0.0.1:8080/realms/staff/gate',
  host = 'wiki.example.com',
  proto = 'https',
}

function check(r)
  return gate.check(r, SITE)
end
