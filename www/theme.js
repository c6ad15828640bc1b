// Light or dark: as the system says, until the button says otherwise. What is chosen is kept for the next visit.

import { find, stored } from './dom.js'

const root = document.documentElement
const dark = matchMedia('(prefers-color-scheme: dark)')

const chosen = stored('localStorage', (storage) => storage.getItem('theme'))
if (chosen === 'light' || chosen === 'dark') root.dataset.theme = chosen

find('#theme').addEventListener('click', () => {
  const now = root.dataset.theme ?? (dark.matches ? 'dark' : 'light')
  root.dataset.theme = now === 'dark' ? 'light' : 'dark'
  stored('localStorage', (storage) => storage.setItem('theme', root.dataset.theme))
})
