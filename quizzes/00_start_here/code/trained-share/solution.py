share_percent = 100 * 460800 / 134515008
