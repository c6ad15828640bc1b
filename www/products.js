// What the shop sells. `glaze` names the colours of its drawing in shop.css.

export const CURRENCY = 'EUR'

export const products = [
  { id: 'mug-tide', name: 'Tide mug', price: 24, category: 'Mugs', art: 'mug', glaze: 'sea', text: 'Holds 30 cl. The glaze runs where it likes, so that no two are alike.' },
  { id: 'bowl-noon', name: 'Noon bowl', price: 32, category: 'Bowls', art: 'bowl', glaze: 'sun', text: 'For soup, salad or a heap of plums. Thrown in one piece, with a turned foot.' },
  { id: 'vase-reed', name: 'Reed vase', price: 58, category: 'Vases', art: 'vase', glaze: 'moss', text: 'Tall enough for branches, narrow enough for three stems. 28 cm.' },
  { id: 'teapot-slow', name: 'Slow teapot', price: 86, category: 'Teapots', art: 'teapot', glaze: 'dusk', text: 'Four cups, a spout that does not drip, and a lid that stays where it is.' },
  { id: 'plates-shore', name: 'Shore plates', price: 64.5, category: 'Plates', art: 'plates', glaze: 'sand', text: 'Three of them, 24 cm across, speckled like the beach in March.' },
  { id: 'pot-sill', name: 'Sill pot', price: 36, category: 'Pots', art: 'pot', glaze: 'rust', text: 'With a hole and a saucer. The plant on the picture is not for sale.' },
]

const format = new Intl.NumberFormat('en', { style: 'currency', currency: CURRENCY })

export const money = (amount) => format.format(amount)
