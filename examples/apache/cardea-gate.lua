-- The gate for Apache: asks Cardea about every request of a site, and lets through what it answers 200 to.
--
-- Apache has no auth_request; mod_lua (Debian: part of apache2) runs this in the fixup phase, which comes before whatever
-- answers a request and is left out for none: no `Satisfy Any`, no internal redirect leads around it. An error in here, a
-- Cardea that does not answer and an answer that is not understood let nobody in.
--
-- Needs Debian's lua-socket. The example of a site is wiki.lua, that of a virtual host apache.conf.

local http = require 'socket.http'
local ltn12 = require 'ltn12'

-- Seconds to wait for Cardea; each request of the site waits as long at most.
http.TIMEOUT = 5

local IDENTITY = {
  'X-Auth-Request-User', 'X-Auth-Request-Preferred-Username', 'X-Auth-Request-Email', 'X-Auth-Request-Groups',
  'X-Auth-Request-Roles', 'X-Auth-Request-Acr', 'X-Auth-Request-Amr',
}

-- What Cardea looks at to see who asks, and whether it is somebody who looks at a page.
local PASSED = { 'Cookie', 'Accept', 'Sec-Fetch-Mode', 'Sec-WebSocket-Key', 'X-Requested-With', 'User-Agent' }

local OWN = { ['/.cardea/start'] = true, ['/.cardea/callback'] = true, ['/.cardea/sign-out'] = true }

-- What could be read in two ways goes no further: encoded slashes, backslashes, percent signs and control characters, dot
-- segments and doubled slashes, in the address as it was written. A blank at the end of a path would be lost in a header.
local function is_odd(target)
  local path = target:match('^[^?]*'):lower()
  if path:sub(1, 1) ~= '/' or path:find('//', 1, true) or path:find('\\', 1, true) or path:find('%c') then return true end
  if path:find('%%2f') or path:find('%%5c') or path:find('%%25') or path:find('%%[01]%x') or path:find('%%7f') then return true end
  if path:find('%%20$') then return true end
  for segment in (path:gsub('%%2e', '.')):gmatch('[^/;]+') do
    if segment == '.' or segment == '..' then return true end
  end
  return false
end

-- Whatever the browser has sent that a site could take for the identity, in any spelling that servers take for the same.
local function strip_identity(r)
  for name in pairs(r:headers_in_table()) do
    if name:lower():gsub('[^%w]', '-'):find('^x%-auth%-request%-') then r.headers_in[name] = nil end
  end
end

-- The site is not handed the cookie that opens the gate.
local function strip_cookie(r)
  local before = r.headers_in['Cookie']
  if not before then return end
  local kept = {}
  for pair in before:gmatch('[^;]+') do
    local name = pair:match('^%s*([^=%s]*)')
    if name ~= 'cardea_gate' and name ~= '__Host-cardea_gate' then kept[#kept + 1] = pair:match('^%s*(.-)%s*$') end
  end
  r.headers_in['Cookie'] = #kept > 0 and table.concat(kept, '; ') or nil
end

-- What `Connection` names goes no further than the next server: by it, a browser would have the identity left out. And of
-- upgrades a WebSocket alone, for nobody is asked about what follows one (h2c: whatever the site has).
local function tidy_connection(r)
  local is_socket = (r.headers_in['Upgrade'] or ''):lower() == 'websocket'
  local is_last = (r.headers_in['Connection'] or ''):lower():find('close', 1, true)
  r.headers_in['Upgrade'] = is_socket and 'websocket' or nil
  r.headers_in['Connection'] = is_socket and 'Upgrade' or is_last and 'close' or nil
end

-- Written here, not taken from the request: the gate believes what this proxy says, and so does the site.
local function say_where(r, site)
  r.headers_in['Host'] = site.host
  r.headers_in['X-Forwarded-Host'] = site.host
  r.headers_in['X-Forwarded-Proto'] = site.proto
  r.headers_in['X-Forwarded-For'] = r.useragent_ip
end

-- The status of the answer, or nil, and its headers.
local function question(r, site)
  local headers = {
    ['X-Forwarded-Host'] = site.host,
    ['X-Forwarded-Proto'] = site.proto,
    ['X-Forwarded-For'] = r.useragent_ip,
    ['X-Forwarded-Method'] = r.method,
    ['X-Forwarded-Uri'] = r.unparsed_uri,
    -- As Apache has decoded and normalised it, and passes it on. It holds no line ends, which is_odd has refused.
    ['X-Cardea-Path'] = r.uri,
  }
  for _, name in ipairs(PASSED) do headers[name] = r.headers_in[name] end
  local done, status, said = http.request { url = site.gate .. '/auth', headers = headers, redirect = false, sink = ltn12.sink.null() }
  if not done then
    r:err('Cardea does not answer: ' .. tostring(status))
    return nil
  end
  return status, said
end

local gate = {}

-- What a virtual host calls for each request; `site` has `gate` (https://…/realms/NAME/gate), `host` and `proto`.
function gate.check(r, site)
  strip_identity(r)
  tidy_connection(r)
  if is_odd(r.unparsed_uri) or r.uri:find('%c') then return 400 end
  say_where(r, site)
  if OWN[r.uri] then return apache2.OK end
  if r.uri == '/.cardea' or r.uri:find('^/%.cardea/') then return 404 end

  local status, said = question(r, site)
  if status == 200 then
    for _, name in ipairs(IDENTITY) do r.headers_in[name] = said[name:lower()] end
    if said['x-auth-request-user'] then r.user = said['x-auth-request-user'] end
    strip_cookie(r)
    return apache2.OK
  end
  r.err_headers_out['Cache-Control'] = 'no-store'
  if status == 401 then
    -- Whoever looks at a page is sent to sign in; a program gets the 401 as it is.
    local start = said['x-cardea-start']
    if start then
      r.headers_out['Location'] = start
      return 302
    end
    r.err_headers_out['WWW-Authenticate'] = said['www-authenticate']
    return 401
  end
  if status == 403 then return 403 end
  if status then r:err('Cardea answers with ' .. tostring(status)) end
  return 503
end

return gate
