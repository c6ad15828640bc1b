// The shop: products, one product in a dialog, the cart, and the events that they track.

import { drawing, element, find, stored } from './dom.js'
import { CURRENCY, money, products } from './products.js'

export function startShop(track) {
  const cart = lastCart()
  const dialog = find('#product')
  let shown

  const about = ({ id, name, price, category }) => ({ product_id: id, name, price, category })

  const view = (product) => {
    shown = product
    dialog.dataset.glaze = product.glaze
    find('#product-art').replaceChildren(drawing(product.art))
    find('#product-name').textContent = product.name
    find('#product-text').textContent = product.text
    find('#product-price').textContent = money(product.price)
    dialog.showModal()
    track('Product Viewed', about(product))
  }

  const add = (product) => {
    const quantity = (cart.get(product) ?? 0) + 1
    cart.set(product, quantity)
    find('#cart-note').textContent = ''
    show()
    track('Item Added to Cart', { ...about(product), quantity })
  }

  const remove = (product) => {
    const quantity = cart.get(product) - 1
    if (quantity > 0) cart.set(product, quantity)
    else cart.delete(product)
    show()
    track('Item Removed from Cart', { ...about(product), quantity })
  }

  const buy = () => {
    const order = `order-${Date.now().toString(36)}`
    for (const [product, quantity] of cart) {
      track('Product Purchased', { ...about(product), order_id: order }, {
        productId: product.id,
        price: product.price,
        quantity,
        revenue: product.price * quantity,
        revenueType: 'purchase',
        currency: CURRENCY,
      })
    }
    cart.clear()
    find('#cart-note').textContent = `Thank you for ${order}. No money was taken, and no pot will come.`
    show()
  }

  const line = (product, quantity) => {
    const step = (sign, label, act) => element('button', { type: 'button', class: 'round', 'aria-label': `${label}: ${product.name}`, click: act }, sign)
    return element('li', { 'data-product': product.id },
      element('span', { class: 'name' }, product.name),
      element('span', { class: 'steps' },
        step('−', 'One less', () => remove(product)), element('b', {}, String(quantity)), step('+', 'One more', () => add(product))),
      element('span', { class: 'sum' }, money(product.price * quantity)))
  }

  const show = () => {
    const focused = document.activeElement?.getAttribute('aria-label')
    const lines = [...cart].map(([product, quantity]) => line(product, quantity))
    const total = [...cart].reduce((sum, [product, quantity]) => sum + product.price * quantity, 0)
    find('#cart-lines').replaceChildren(...lines)
    find('#cart-empty').hidden = cart.size > 0 || find('#cart-note').textContent !== ''
    find('#cart-foot').hidden = cart.size === 0
    find('#cart-total').textContent = money(total)
    find('#cart-count').textContent = [...cart.values()].reduce((sum, quantity) => sum + quantity, 0)
    // Who leaves for another page and comes back finds the cart as it was.
    stored('sessionStorage', (storage) => storage.setItem('cart', JSON.stringify([...cart].map(([{ id }, quantity]) => [id, quantity]))))
    // The lines are new; who steps through them by keyboard stays where he was.
    if (focused) [...document.querySelectorAll('#cart-lines button')].find((it) => it.getAttribute('aria-label') === focused)?.focus()
  }

  const card = (product) =>
    element('li', { 'data-product': product.id, 'data-glaze': product.glaze },
      element('button', { type: 'button', class: 'art', 'aria-label': `View ${product.name}`, click: () => view(product) }, drawing(product.art)),
      element('div', { class: 'label' },
        element('h3', {}, product.name),
        element('span', { class: 'price' }, money(product.price))),
      element('button', { type: 'button', class: 'add', 'aria-label': `Add ${product.name} to the cart`, click: () => add(product) }, 'Add to cart'))

  find('#products').replaceChildren(...products.map(card))
  find('#buy').addEventListener('click', buy)
  find('#product-add').addEventListener('click', () => {
    add(shown)
    dialog.close()
  })
  find('#product-close').addEventListener('click', () => dialog.close())
  // A click beside the dialog closes it.
  dialog.addEventListener('click', (click) => click.target === dialog && dialog.close())
  show()
}

/** What this tab's last page had in it, of what there still is. */
function lastCart() {
  const of = ([id, quantity]) => [products.find((product) => product.id === id), quantity]
  const kept = stored('sessionStorage', (storage) => JSON.parse(storage.getItem('cart')).map(of).filter(([product]) => product))
  return new Map(kept)
}
