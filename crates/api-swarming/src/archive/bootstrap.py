import os
import shutil
import sys
import urllib.parse
import urllib.request

url = host_url + "/bot_code?" + urllib.parse.urlencode({"tok": bootstrap_token})
with urllib.request.urlopen(url) as reply, open("swarming_bot.zip.new", "wb") as out:
    shutil.copyfileobj(reply, out)
os.replace("swarming_bot.zip.new", "swarming_bot.zip")
os.execv(sys.executable, [sys.executable, "swarming_bot.zip"])
